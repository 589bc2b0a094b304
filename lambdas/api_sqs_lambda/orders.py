"""SQS → DynamoDB: orders, in no order, each stored once. A batch costs one write call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import batch, tables
from ..foundation.outcomes import STORED, Outcome, compare
from . import logic, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message


def store_orders(received: Sequence[tuple[logic.Order, Message]]) -> dict[str, Outcome]:
    """Store the orders that are new; return what became of each message, by its id."""
    first: dict[str, tuple[logic.Order, Message]] = {}
    for order, message in received:
        first.setdefault(order.id, (order, message))
    puts = store.put_orders(first)
    outcomes: dict[str, Outcome] = {}
    for order, message in received:
        winner, winners_message = first[order.id]
        if order.id in puts.failed:
            outcomes[message.id] = Outcome.failed(puts.failed[order.id])
        elif order.id in puts.found:
            stored = tables.fingerprint(puts.found[order.id])
            outcomes[message.id] = compare(order.fingerprint, stored)
        elif message is winners_message:
            outcomes[message.id] = STORED
        else:
            outcomes[message.id] = compare(order.fingerprint, winner.fingerprint)
    return outcomes


handler = batch.handler(logic.parse_order, store_orders)
