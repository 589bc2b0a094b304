"""SQS FIFO → DynamoDB: the price list of one channel, each part's changes in order.

A batch costs one write call, as a rule. A change that cannot be applied goes to the dead-letter
queue and does not hold up those behind it; one that failed holds up its own part only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor

from ..foundation.outcomes import Outcome, RefusedError
from ..foundation.reporting import answer, dead_letter_in_order, logger
from . import logic, price_list
from .messages import Message
from .reporting import log_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Record the price changes of a batch.

    The batch is written as a whole; then Powertools asks for the outcome of each record.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """
    messages = [Message.of(record) for record in event["Records"]]
    outcomes = dead_letter_in_order(messages, record_changes(messages))
    log_summary(outcomes)
    return answer(event, context, SqsFifoPartialProcessor(skip_group_on_error=True), outcomes)


def record_changes(messages: Sequence[Message]) -> dict[str, Outcome]:
    """Record what is valid; return what became of each message, by its id."""
    outcomes: dict[str, Outcome] = {}
    received: list[tuple[logic.PriceChange, Message]] = []
    for message in messages:
        try:
            received.append((logic.parse_in_group(message.body, message.group_id), message))
        except RefusedError as error:
            outcomes[message.id] = Outcome.refused(error)
    return outcomes | price_list.record(received, stored_at=time.time_ns() // 10**6)
