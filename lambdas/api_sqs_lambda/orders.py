"""SQS → DynamoDB: orders, in no order, each stored once.

A batch costs one write call, and one bad order never re-runs the good ones: it goes to the
dead-letter queue with its reason, and only what failed is delivered again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from ..foundation.outcomes import Outcome, RefusedError
from ..foundation.reporting import answer, dead_letter, logger
from . import logic, store
from .messages import Message
from .reporting import log_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Store the orders of a batch.

    The batch is written as a whole; then Powertools asks for the outcome of each record.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """
    messages = [Message.of(record) for record in event["Records"]]
    outcomes = dead_letter(messages, store_orders(messages))
    log_summary(outcomes)
    return answer(event, context, BatchProcessor(event_type=EventType.SQS), outcomes)


def store_orders(messages: Sequence[Message]) -> dict[str, Outcome]:
    """Store what is valid and new; return what became of each message, by its id."""
    outcomes: dict[str, Outcome] = {}
    orders: list[tuple[logic.Order, Message]] = []
    for message in messages:
        try:
            orders.append((logic.parse_order(message.body), message))
        except RefusedError as error:
            outcomes[message.id] = Outcome.refused(error)
    first: dict[str, tuple[logic.Order, Message]] = {}
    for order, message in orders:
        first.setdefault(order.id, (order, message))
    writes = store.put_orders(first.values(), stored_at=time.time_ns() // 10**6)
    for order, message in orders:
        winner, winners_message = first[order.id]
        if order.id in writes.failed:
            outcomes[message.id] = Outcome("failed", writes.failed[order.id])
        elif message is winners_message and order.id not in writes.found:
            outcomes[message.id] = logic.STORED
        else:
            stored = writes.found.get(order.id, winner.fingerprint)
            outcomes[message.id] = logic.compare(order.fingerprint, stored)
    return outcomes
