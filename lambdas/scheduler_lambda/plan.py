"""SQS FIFO → Scheduler: a reminder for each order, which may move or be canceled until it is due.

The changes of an order are applied in their order. A call a new reminder: Scheduler has no batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import batch
from . import logic, store

if TYPE_CHECKING:
    from ..foundation.messages import Message
    from ..foundation.outcomes import Outcome


def _remind(change: logic.Change, _: Message) -> Outcome:
    return store.remind(change)


handler = batch.handler(logic.parse_change, batch.one_by_one(_remind, fifo=True), fifo=True)
