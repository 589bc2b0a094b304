"""What a consumer of large messages does besides its work: it deletes the message, then its body.

A crash at any place leaves a message with its object, which comes again, or an object without a
message, which the sweep finds: never a message without its object.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws, bodies, dead_letters, pointers, sweeps, tables
from .logs import logger
from .outcomes import DUPLICATE, STORED, Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from .messages import Message
    from .pointers import Pointer


def pointer_in(message: Message) -> Pointer | None:
    """Return the pointer in a message to a body of ours, if it has one.

    Raises:
        RefusedError: it has one, but not to a body of ours.
    """
    found = pointers.find(message.body, message.attributes)
    return found and found.check(os.environ["BUCKET_NAME"], os.environ["PREFIX"])


def open_body(pointer: Pointer) -> Iterator[bytes] | None:
    """Return a body, chunk by chunk; None if it is gone because its work is done.

    Raises:
        RefusedError: it is gone before, or of another size than the message says.
    """
    try:
        return bodies.fetch(bodies.client(), pointer)
    except RefusedError as error:
        if error.reason == "payload_gone" and _is_done(pointer.key):
            return None
        raise


def finish(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Delete the messages whose work is done, then their bodies; return those not deleted.

    For ``report`` of ``batch.handler``. Lambda would delete the messages when the function has
    returned: too late for the bodies.
    """
    over = [it for it in messages if outcomes[it.id] in (STORED, DUPLICATE)]
    keys = {it.id: pointer.key for it in over if (pointer := pointer_in(it))}
    failed = _mark(keys)
    failed |= _delete([it for it in over if it.id in keys.keys() - failed.keys()])
    gone = {key for message_id, key in keys.items() if message_id not in failed}
    try:
        left = bodies.delete(bodies.client(), os.environ["BUCKET_NAME"], gone)
    except (ClientError, BotoCoreError):
        left = len(gone)
    if left:
        logger.warning("The sweep will delete bodies", orphans=left)
    return {message_id: Outcome.failed(code) for message_id, code in failed.items()}


def _mark(keys: Mapping[str, str]) -> dict[str, str]:
    """Write down which bodies nobody needs, for the sweep and for messages that come twice.

    A mark outlives every message about its body, as each was sent before: it expires as late as a
    body would that was stored now, after queue and dead-letter queue, and both after a redrive.
    """
    table, expires = os.environ["TABLE_NAME"], int(time.time()) + int(os.environ["KEPT_SECONDS"])
    marks = {key: {"pk": _mark_of(key), "expires_at": expires} for key in keys.values()}
    failed = tables.put_new({key: tables.new(table, mark) for key, mark in marks.items()}).failed
    return {message_id: failed[key] for message_id, key in keys.items() if key in failed}


def _delete(messages: Sequence[Message]) -> dict[str, str]:
    entries = ({"Id": one.id, "ReceiptHandle": one.receipt_handle} for one in messages)
    call = aws.client("sqs").delete_message_batch
    return dead_letters.call_all(call, os.environ["QUEUE_URL"], entries)


@logger.inject_lambda_context
def sweep(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Delete orphans; return how many bodies there were, and how many of them were orphans.

    A body is an orphan when its work is done, or when it is older than any message can be. This is
    a handler for a schedule.

    Args:
        event: May say ``older_than_seconds``, for bodies whose work is done, and
            ``kept_seconds``, for the others.
        context: How long it may run.

    Raises:
        UnfinishedError: the bucket is too large for one run, or S3 did not delete all.
    """
    now = time.time()
    young = now - event.get("older_than_seconds", sweeps.MIN_AGE)
    oldest = now - event.get("kept_seconds", int(os.environ["KEPT_SECONDS"]))

    def find(page: list[Any]) -> tuple[int, int]:
        there = [one for one in page if "ETag" in one]  # and no delete marker
        aged = {one["Key"]: one["LastModified"].timestamp() for one in there}
        orphans = {key for key, at in aged.items() if at <= oldest}
        orphans |= _done_with(key for key, at in aged.items() if oldest < at <= young)
        if bodies.delete(bodies.client(), os.environ["BUCKET_NAME"], orphans):
            raise sweeps.UnfinishedError("S3 did not delete every body.")
        return len(aged), len(orphans)

    return sweeps.look(context, sweeps.latest(), find)


def _done_with(keys: Iterable[str]) -> set[str]:
    """Return the keys of bodies whose work is done."""
    found: set[str] = set()
    for some in aws.batches(keys, most=sweeps.MAX_KEYS):
        wanted = {_mark_of(key): key for key in some}
        items = sweeps.items([{"pk": {"S": pk}} for pk in wanted], "pk")
        found |= {wanted[item["pk"]["S"]] for item in items}
    return found


def _is_done(key: str) -> bool:
    table, wanted = os.environ["TABLE_NAME"], tables.serialize({"pk": _mark_of(key)})
    return "Item" in tables.client().get_item(TableName=table, Key=wanted, ConsistentRead=True)


def _mark_of(key: str) -> str:
    return f"payload#{key}"
