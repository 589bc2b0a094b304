"""SQS → the endpoint of a third party: each event signed with the client's own secret.

Reports each failed record. Its next attempt waits longer than the one before, by chance: clients
that come back are not met by everything at once.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..foundation import batch, endpoints, strict_json, visibility, webhooks
from ..foundation.logs import logger
from ..foundation.outcomes import Outcome, RefusedError
from . import store
from .states import StateChange, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

SECONDS = 5  # for an answer: a batch of five fits into the function's time
# Seconds: five attempts take more than an hour.
BACKOFF = visibility.Backoff(first=60, factor=4, longest=3_600)


def write(parsed: Sequence[tuple[StateChange, Message]]) -> dict[str, Outcome]:
    """Post each event. Once the endpoint cannot be reached the others of the batch wait, too."""
    endpoint = store.endpoint()
    outcomes: dict[str, Outcome] = {}
    waits: dict[str, int] = {}
    unreachable: Outcome | None = None
    for change, message in parsed:
        wait = 0
        try:
            outcome, wait = (unreachable, 0) if unreachable else _post(endpoint, change)
        except RefusedError as error:
            outcome = Outcome.refused(error)
        except endpoints.UnreachableError as error:
            outcome = unreachable = Outcome.failed(str(error))
        if outcome.kind == "failed":
            waits[message.receipt_handle] = _wait(message, wait)
        outcomes[message.id] = outcome
    if failed := visibility.change(os.environ["QUEUE_URL"], waits):
        # Then they wait as long as the queue says.
        logger.warning("NotHidden", records=len(failed), codes=sorted(set(failed.values())))
    return outcomes


def _post(endpoint: dict[str, Any], change: StateChange) -> tuple[Outcome, int]:
    """Return the outcome, and how many seconds the endpoint asks us to wait."""
    if not endpoint or endpoint.get("gone"):
        raise RefusedError("no_endpoint", "The client has no endpoint now.")
    allowed = os.environ.get("ALLOWED_ORIGINS", "").split()
    body = strict_json.encode(change.document)
    # Signed for each attempt: the receiver rejects a webhook that is five minutes old.
    headers = webhooks.sign(change.id, int(time.time()), body, store.secrets())
    headers |= {"Content-Type": "application/json", "User-Agent": "shop-webhooks/1"}
    target = endpoints.check(endpoint["url"], allowed)
    answer = endpoints.post(target, body, headers, seconds=SECONDS)
    if 200 <= answer.status < 300:
        return Outcome("delivered"), 0
    if answer.status == 410:
        endpoint["gone"] = True
        store.mark_gone(endpoint["url"])
        raise RefusedError("gone", "The endpoint answers 410: the client wants no more events.")
    # A redirect, too: where it leads to, nobody has checked.
    return Outcome.failed(f"HTTP {answer.status}"), answer.retry_after


def _wait(message: Message, asked: int) -> int:
    """Return for how long a message waits, at least as long as the endpoint asks for."""
    longest = int(os.environ.get("LONGEST_WAIT_SECONDS", BACKOFF.longest))
    return min(longest, max(asked, BACKOFF.delay(message.receive_count)))


handler = batch.handler(lambda message: parse(message.body), write)
