"""SQS → S3 → DynamoDB: catalogs, each stored once. The message is deleted first, then its body."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..foundation import batch, claims, orders
from ..foundation.outcomes import DUPLICATE
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message
    from ..foundation.orders import Order
    from ..foundation.outcomes import Outcome
    from ..foundation.pointers import Pointer

    Said = Order | Pointer


def parse(message: Message) -> Said:
    """Return the catalog in a message, or the pointer to it.

    Raises:
        RefusedError: it is no catalog, or the pointer is not to a body of ours.
    """
    return claims.pointer_in(message) or logic.read([message.body.encode()])


def write(parsed: Sequence[tuple[Said, Message]]) -> dict[str, Outcome]:
    """Read the bodies one by one, and store what is kept of them in one call."""
    catalogs: list[tuple[Order, Message]] = []

    def work(said: Said, message: Message) -> Outcome:
        found = read(said)
        catalogs.extend([(found, message)] if found else ())
        return DUPLICATE  # unless it is stored

    outcomes = dict(batch.one_by_one(work)(parsed))
    return outcomes | (orders.store(catalogs) if catalogs else {})


def work(said: Said, message: Message) -> Outcome:
    """Read one body and store what is kept of it, and when, for a queue that keeps an order."""
    if not (found := read(said)):
        return DUPLICATE
    at = {"read_at": datetime.now(UTC).isoformat(timespec="microseconds")}
    kept = replace(found, document={**found.document, **at})
    return orders.store([(kept, message)])[message.id]


def read(said: Said) -> Order | None:
    """Return a catalog; None if its body is gone because its work is done.

    Raises:
        RefusedError: it breaks a rule, or its body is gone or of another size.
    """
    if isinstance(said, orders.Order):
        return said
    body = claims.open_body(said)
    return logic.read(body) if body else None


handler = batch.handler(parse, write, report=claims.finish)
