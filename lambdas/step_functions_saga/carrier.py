"""SQS → shipments: the carrier's side of the saga. It answers with the task token it was given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import batch, visibility
from ..foundation.logs import logger
from ..foundation.outcomes import POSTPONED, Outcome
from . import executions, logic, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

POSTPONED_SECONDS = 5

CANCELLED = Outcome("cancelled")
ANSWERED = Outcome("answered")
TOO_LATE = Outcome("too_late")


def carry(received: Sequence[tuple[logic.Instruction, Message]]) -> dict[str, Outcome]:
    """Follow the instructions of a batch: cancel, ship and answer; a cancellation wins."""
    choices = {m.id: logic.carriers_choice(asked, m.receive_count) for asked, m in received}

    def orders(choice: str) -> list[str]:
        return [asked.order_id for asked, message in received if choices[message.id] == choice]

    failed = store.cancel(orders("cancel"))
    states, not_shipped = store.ship(set(orders("ship")) - failed.keys())
    failed |= not_shipped
    waiting: list[Message] = []

    def finish(asked: logic.Instruction, message: Message) -> Outcome:
        choice = choices[message.id]
        if choice == "later":  # comes again by design: that is not an outage
            if not executions.sign_of_life(asked.task_token):
                return TOO_LATE
            waiting.append(message)
            return POSTPONED
        if choice != "refuse" and asked.order_id in failed:
            return Outcome.failed(failed[asked.order_id])
        if choice == "cancel":
            return CANCELLED
        outcome = "undeliverable" if choice == "refuse" else states[asked.order_id]
        if executions.answer(asked.task_token, outcome):
            return ANSWERED
        # The saga gave up; its cancellation is in the queue.
        logger.warning("Too late", order_id=asked.order_id, outcome=outcome)
        return TOO_LATE

    outcomes = batch.one_by_one(finish)(received)
    return {**outcomes, **_postpone(waiting)}


def _postpone(messages: Sequence[Message]) -> dict[str, Outcome]:
    """Let SQS deliver messages again soon, instead of after the visibility timeout."""
    seconds = {message.receipt_handle: POSTPONED_SECONDS for message in messages}
    failed = visibility.change(os.environ["QUEUE_URL"], seconds)
    of = {message.receipt_handle: message.id for message in messages}
    return {of[handle]: Outcome.failed(code) for handle, code in failed.items()}


handler = batch.handler(logic.parse_instruction, carry)
