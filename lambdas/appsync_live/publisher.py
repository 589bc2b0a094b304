"""Table → stream → AppSync: each change of an order, to the channel of its customer.

At least once, and not always in order: a client tells both by the version.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from ..foundation import channels, mutations, shards
from ..foundation.outcomes import Outcome
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

PUBLISHED = Outcome("published")
IGNORED = Outcome("ignored")  # of a replay, which has changes for others, too


def publish(changes: Sequence[tuple[tuple[str, str] | None, Message]]) -> dict[str, Outcome]:
    """Publish the changes; return what became of each, by its message's id."""
    events: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for change, message in changes:
        if change:
            channel = channels.channel(os.environ["NAMESPACE"], change[0])
            events[channel].append((message.id, change[1]))
    if graphql := os.environ.get("GRAPHQL_HOST"):
        failed = mutations.publish(graphql, events)
    else:
        failed = channels.publish(os.environ["EVENTS_HOST"], events)
    outcomes = {it.id: PUBLISHED if change else IGNORED for change, it in changes}
    return outcomes | {id_: Outcome.failed(why) for id_, why in failed.items()}


handler = shards.handler(logic.event, publish)
