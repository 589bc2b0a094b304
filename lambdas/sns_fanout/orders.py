"""SQS → DynamoDB: orders, each stored once. Reports each failed record, and no other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import batch, tables
from ..foundation.outcomes import STORED, Outcome, compare
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message


def store(received: Sequence[tuple[logic.Order, Message]]) -> dict[str, Outcome]:
    """Store the orders that are new, in one call; return what became of each message, by its id."""
    first: dict[str, tuple[logic.Order, Message]] = {}
    for order, message in received:
        first.setdefault(order.id, (order, message))
    puts = tables.put_new({order.id: _new(order, message) for order, message in first.values()})

    def outcome(order: logic.Order, message: Message) -> Outcome:
        if order.id in puts.failed:
            return Outcome.failed(puts.failed[order.id])
        if order.id in puts.found:
            return compare(order.fingerprint, tables.fingerprint(puts.found[order.id]))
        winner, stored = first[order.id]
        return STORED if message is stored else compare(order.fingerprint, winner.fingerprint)

    return {message.id: outcome(order, message) for order, message in received}


def _new(order: logic.Order, message: Message) -> Any:
    item = {
        "pk": order.id,
        **order.document,
        "message_id": message.id,
        "fingerprint": order.fingerprint,
    }
    return tables.new(os.environ["TABLE_NAME"], item)


handler = batch.handler(logic.parse, store)
