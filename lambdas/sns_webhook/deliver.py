"""SQS → the endpoint of a third party: each event signed with the client's own secret.

Reports each failed record. Its next attempt waits longer than the one before, by chance: clients
that come back are not met by everything at once.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, batch, endpoints, strict_json, webhooks
from ..foundation.logs import logger
from ..foundation.outcomes import Outcome, RefusedError
from . import store
from .states import StateChange, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

SECONDS = 5  # for an answer: a batch of five fits into the function's time
FIRST_WAIT, LONGEST_WAIT = 60, 3_600  # seconds: five attempts take more than an hour


def write(parsed: Sequence[tuple[StateChange, Message]]) -> dict[str, Outcome]:
    """Post each event. Once the endpoint cannot be reached the others of the batch wait, too."""
    endpoint = store.endpoint()
    outcomes: dict[str, Outcome] = {}
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
            _postpone(message, wait)
        outcomes[message.id] = outcome
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


def _postpone(message: Message, asked: int) -> None:
    """Hide a message for a while, four times as long after each attempt, and random within it.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    longest = float(os.environ.get("LONGEST_WAIT_SECONDS", LONGEST_WAIT))
    most = min(longest, FIRST_WAIT * 4.0 ** (message.receive_count - 1))
    wait = max(min(asked, longest), most * (0.5 + random.random() / 2))  # noqa: S311
    try:
        aws.client("sqs").change_message_visibility(
            QueueUrl=os.environ["QUEUE_URL"],
            ReceiptHandle=message.receipt_handle,
            VisibilityTimeout=int(wait),
        )
    except (ClientError, BotoCoreError) as error:  # then it waits as long as the queue says
        logger.warning("Not postponed", error=aws.code(error), **message.ids)


handler = batch.handler(lambda message: parse(message.body), write)
