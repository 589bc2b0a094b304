"""Table → stream → SQS: sends each order that was written to the queue, ten a call.

At least once: the consumer tells a duplicate by the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import outbox, shards
from ..foundation.outcomes import Outcome
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

SENT, IGNORED = Outcome("sent"), Outcome("ignored")


def send(orders: Sequence[tuple[tuple[str, str] | None, Message]]) -> dict[str, Outcome]:
    """Send the orders; return what became of each, by its message's id."""
    failed = outbox.send(outbox.entry(message.id, *order) for order, message in orders if order)

    def outcome(order: tuple[str, str] | None, message: Message) -> Outcome:
        if message.id in failed:
            return Outcome.failed(failed[message.id])
        return SENT if order else IGNORED

    return {message.id: outcome(order, message) for order, message in orders}


handler = shards.handler(logic.outgoing, send)
