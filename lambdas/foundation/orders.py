"""The shop's orders: what is a valid one, and what becomes of each when a batch is stored."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import checks, shop, strict_json, tables
from .outcomes import CONFLICT, STORED, Outcome, RefusedError, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .messages import Message

MAX_LINES = 100


class NotStoredError(Exception):
    """The table did not take an order; the message is the error's code."""


@dataclass(frozen=True)
class Order:
    """A valid order; ``fingerprint`` tells the same order from another one under its id."""

    id: str
    document: Mapping[str, Any]
    fingerprint: str


def parse(message: Message) -> Order:
    """Return the order in a message.

    Raises:
        RefusedError: it is not a valid order.
    """
    return check(strict_json.parse(message.body))


def check(document: Any) -> Order:
    """Return a document as an order.

    Raises:
        RefusedError: it is not a valid order.
    """
    names = ("order_id", "customer_id", "currency", "lines", "total")
    order = checks.fields(document, "order", *names)
    checks.identifier(order["order_id"], "order_id")
    checks.identifier(order["customer_id"], "customer_id")
    shop.total(order, MAX_LINES)
    return Order(order["order_id"], order, strict_json.fingerprint(order))


def put_each(first: Mapping[str, tuple[Order, Message]]) -> tables.Puts:
    """Put orders into the table ``TABLE_NAME``, each with the id of its message."""
    received = {id_: (order, message.id) for id_, (order, message) in first.items()}
    return put_in(os.environ["TABLE_NAME"], received)


def put_in(table: str, received: Mapping[str, tuple[Order, str]]) -> tables.Puts:
    """Put orders, each with the id of the message that it came in, where none has their id."""
    items = {
        id_: {"pk": id_, **order.document, "message_id": message, "fingerprint": order.fingerprint}
        for id_, (order, message) in received.items()
    }
    return tables.put_new({id_: tables.new(table, item) for id_, item in items.items()})


def store_one(order: Order, message: str) -> Outcome:
    """Put an order into the table ``TABLE_NAME``, with the id of the message that it came in.

    Returns whether it is new.

    Raises:
        RefusedError: another order has its id.
        NotStoredError: the table is unavailable.
    """
    puts = put_in(os.environ["TABLE_NAME"], {order.id: (order, message)})
    if order.id in puts.failed:
        raise NotStoredError(puts.failed[order.id])
    if order.id not in puts.found:
        return STORED
    outcome = compare(order.fingerprint, tables.fingerprint(puts.found[order.id]))
    if outcome is CONFLICT:
        raise RefusedError(outcome.reason, outcome.detail)
    return outcome


def store(
    received: Sequence[tuple[Order, Message]],
    put: Callable[[Mapping[str, tuple[Order, Message]]], tables.Puts] = put_each,
) -> dict[str, Outcome]:
    """Store the orders that are new, in one call of ``put``; it gets the first of each id.

    Returns what became of each message, by its id. Default: into the table ``TABLE_NAME``.
    """
    first: dict[str, tuple[Order, Message]] = {}
    for order, message in received:
        first.setdefault(order.id, (order, message))
    puts = put(first)

    def outcome(order: Order, message: Message) -> Outcome:
        if order.id in puts.failed:
            return Outcome.failed(puts.failed[order.id])
        if order.id in puts.found:
            return compare(order.fingerprint, tables.fingerprint(puts.found[order.id]))
        winner, stored = first[order.id]
        return STORED if message is stored else compare(order.fingerprint, winner.fingerprint)

    return {message.id: outcome(order, message) for order, message in received}
