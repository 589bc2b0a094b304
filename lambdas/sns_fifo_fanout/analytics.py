"""SQS → S3: every price change, as newline-delimited JSON by day.

A batch costs one write call for each day in it. Only what failed is delivered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from ..foundation.outcomes import Outcome, RefusedError
from ..foundation.reporting import answer, dead_letter, logger
from . import lake, logic
from .messages import Message
from .reporting import log_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Write the price changes of a batch.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """
    messages = [Message.of(record) for record in event["Records"]]
    outcomes = dead_letter(messages, write_changes(messages))
    log_summary(outcomes)
    return answer(event, context, BatchProcessor(event_type=EventType.SQS), outcomes)


def write_changes(messages: Sequence[Message]) -> dict[str, Outcome]:
    """Write what is valid; return what became of each message, by its id."""
    outcomes: dict[str, Outcome] = {}
    received: list[tuple[logic.PriceChange, Message]] = []
    for message in messages:
        try:
            received.append((logic.parse(message.body), message))
            outcomes[message.id] = logic.STORED
        except RefusedError as error:
            outcomes[message.id] = Outcome.refused(error)
    failed = lake.write(received)
    return outcomes | {id_: Outcome("failed", code) for id_, code in failed.items()}
