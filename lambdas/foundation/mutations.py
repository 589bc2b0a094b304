"""Events → a mutation of an AppSync GraphQL API, many a request; those that fail are sent again.

AWS AppSync developer guide, "Using subscriptions for real-time data applications".
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from . import channels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .channels import Addressed, Event, Post

MAX_MUTATIONS = 25  # in a request; AppSync names no limit


def publish(
    host: str,
    events: Mapping[str, Sequence[Event]],
    *,
    post: Post | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Publish the events of channels, as ``channels.publish`` does; those of several in a request.

    The channel ``orders/one`` is ``publishOrders`` with the owner ``one``.
    """
    every = [(name, to, text) for to, own in events.items() for name, text in own]
    call = functools.partial(_call, post or channels.signed_post, host)
    return channels.send([every], MAX_MUTATIONS, call, sleep)


def _call(post: Post, host: str, events: Sequence[Addressed]) -> dict[str, str]:
    """Send a request with a mutation for each event; return the error code of those that failed."""
    declared, fields, variables = list[str](), list[str](), dict[str, str]()
    for at, (_, to, text) in enumerate(events):
        namespace, _, owner = to.partition("/")
        mutation = f"publish{namespace[:1].upper()}{namespace[1:]}"
        declared.append(f"$o{at}: ID!, $e{at}: String!")
        # Clients receive what is selected here, and by owner AppSync finds them.
        fields.append(f"m{at}: {mutation}(owner: $o{at}, event: $e{at}) {{ owner event }}")
        variables |= {f"o{at}": owner, f"e{at}": text}
    query = f"mutation ({', '.join(declared)}) {{ {' '.join(fields)} }}"
    body = {"query": query, "variables": variables}
    return channels.ask(post, f"{host}/graphql", body, events, _read)


def _read(said: Any, count: int) -> dict[int, str | None]:
    """Return the error of each mutation that has no result: its own, or that of the request."""
    data, errors = said.get("data") or {}, said.get("errors") or []
    codes = {(one.get("path") or [""])[0]: str(one.get("errorType") or "Failed") for one in errors}
    of_all = codes.get("", "Unanswered")
    return {at: None if data.get(f"m{at}") else codes.get(f"m{at}", of_all) for at in range(count)}
