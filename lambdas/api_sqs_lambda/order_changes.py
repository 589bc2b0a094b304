"""SQS FIFO → DynamoDB: changes of orders, each applied once and in the order of the queue.

A batch costs one read and one write call. A change that is refused does not hold up those behind
it; one that failed holds up its own order only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import batch
from ..foundation.outcomes import STORED, Outcome
from . import logic, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message


def apply_changes(received: Sequence[tuple[logic.Change, Message]]) -> dict[str, Outcome]:
    """Apply the changes that are new; return what became of each message, by its id."""
    changes = [change for change, _ in received]
    history = store.read_history(changes)
    outcomes: dict[str, Outcome] = {}
    new: list[tuple[logic.Change, int, Message]] = []
    for (change, message), place in zip(received, logic.place(changes, history), strict=True):
        if isinstance(place, Outcome):
            outcomes[message.id] = place
        else:
            new.append((change, place, message))
    failed = store.append_changes(new, history)
    for change, _, message in new:
        code = failed.get(change.order_id)
        outcomes[message.id] = Outcome.failed(code) if code else STORED
    return outcomes


handler = batch.handler(logic.parse_change, apply_changes, fifo=True)
