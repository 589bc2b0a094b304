"""SQS → S3 → DynamoDB: catalogs, each stored once. The message is deleted first, then its body.

A crash at any place leaves a message with its object, which comes again, or an object without a
message, which the sweep finds: never a message without its object.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, batch, dead_letters, orders, tables
from ..foundation.logs import logger
from ..foundation.outcomes import DUPLICATE, STORED, Outcome, RefusedError
from . import logic, payloads, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..foundation.messages import Message
    from ..foundation.orders import Order
    from .wire import Pointer

    Said = Order | Pointer

READ = Outcome("read")


def pointer_in(message: Message) -> Pointer | None:
    """Return the pointer in a message to a body of ours, if it has one."""
    return wire.pointer_in(message, os.environ["BUCKET_NAME"], os.environ["PREFIX"])


def parse(message: Message) -> Said:
    """Return the catalog in a message, or the pointer to it.

    Raises:
        RefusedError: it is no catalog, or the pointer is not to a body of ours.
    """
    return pointer_in(message) or logic.read([message.body.encode()])


def write(parsed: Sequence[tuple[Said, Message]]) -> dict[str, Outcome]:
    """Read the bodies one by one, and store what is kept of them in one call."""
    catalogs: list[tuple[Order, Message]] = []

    def work(said: Said, message: Message) -> Outcome:
        found = read(said)
        if isinstance(found, Outcome):
            return found
        catalogs.append((found, message))
        return READ

    outcomes = dict(batch.one_by_one(work)(parsed))
    return outcomes | (orders.store(catalogs) if catalogs else {})


def work(said: Said, message: Message) -> Outcome:
    """Read one body and store what is kept of it, for a queue that keeps an order."""
    found = read(said)
    return found if isinstance(found, Outcome) else orders.store([(found, message)])[message.id]


def read(said: Said) -> Order | Outcome:
    """Return a catalog; DUPLICATE if its body is gone because its work is done.

    Raises:
        RefusedError: it breaks a rule, or its body is gone or of another size.
    """
    if isinstance(said, orders.Order):
        return said
    try:
        return logic.read(payloads.fetch(payloads.client(), said))
    except RefusedError as error:
        if error.reason == "payload_gone" and _is_done(said):
            return DUPLICATE
        raise


def finish(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Delete the messages whose work is done, then their bodies; return those not deleted.

    Lambda would delete the messages when this function has returned: too late for the bodies.
    """
    over = [it for it in messages if outcomes[it.id] in (STORED, DUPLICATE)]
    done = [(it, pointer.key) for it in over if (pointer := pointer_in(it))]
    failed = _mark(done)
    done = [(it, key) for it, key in done if it.id not in failed]
    failed |= _delete([it for it, _ in done])
    keys = {key for it, key in done if it.id not in failed}
    try:
        left = payloads.delete(payloads.client(), os.environ["BUCKET_NAME"], keys)
    except (ClientError, BotoCoreError):
        left = len(keys)
    if left:
        logger.warning("The sweep will delete bodies", orphans=left)
    return {message_id: Outcome.failed(code) for message_id, code in failed.items()}


def _mark(done: Sequence[tuple[Message, str]]) -> dict[str, str]:
    """Write down which bodies nobody needs, for the sweep and for messages that come twice."""
    table = os.environ["TABLE_NAME"]
    puts = {key: tables.new(table, {"pk": done_key(key)}) for _, key in done}
    failed = tables.put_new(puts).failed
    return {message.id: failed[key] for message, key in done if key in failed}


def _delete(messages: Sequence[Message]) -> dict[str, str]:
    failed: dict[str, str] = {}
    for some in aws.batches(messages, most=dead_letters.MAX_ENTRIES):
        entries = [{"Id": one.id, "ReceiptHandle": one.receipt_handle} for one in some]
        failed |= dead_letters.call_twice(
            aws.client("sqs").delete_message_batch, os.environ["QUEUE_URL"], entries
        )
    return failed


def done_key(key: str) -> str:
    """Return the key of the item that says that a body is done with."""
    return f"payload#{key}"


def _is_done(pointer: Pointer) -> bool:
    answer = tables.client().get_item(
        TableName=os.environ["TABLE_NAME"],
        Key=tables.serialize({"pk": done_key(pointer.key)}),
        ConsistentRead=True,
    )
    return "Item" in answer


handler = batch.handler(parse, write, report=finish)
