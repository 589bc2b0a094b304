"""SQS FIFO → DynamoDB: changes of orders, each applied once and in the order of the queue.

A batch costs one read and one write call. A change that cannot be applied goes to the dead-letter
queue and does not hold up those behind it; one that failed holds up its own order only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor

from ..foundation.outcomes import Outcome, RefusedError
from ..foundation.reporting import answer, dead_letter_in_order, logger
from . import logic, store
from .messages import Message
from .reporting import log_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Apply the changes of a batch.

    The batch is written as a whole; then Powertools asks for the outcome of each record.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """
    messages = [Message.of(record) for record in event["Records"]]
    outcomes = dead_letter_in_order(messages, apply_changes(messages))
    log_summary(outcomes)
    return answer(event, context, SqsFifoPartialProcessor(skip_group_on_error=True), outcomes)


def apply_changes(messages: Sequence[Message]) -> dict[str, Outcome]:
    """Apply what is valid and new; return what became of each message, by its id."""
    outcomes: dict[str, Outcome] = {}
    changes: list[tuple[logic.Change, Message]] = []
    for message in messages:
        try:
            changes.append((logic.parse_change(message.body, message.group_id), message))
        except RefusedError as error:
            outcomes[message.id] = Outcome.refused(error)
    try:
        histories = store.read_histories([change for change, _ in changes])
    except store.StoreError as error:
        return outcomes | {message.id: Outcome("failed", error.code) for _, message in changes}
    places = logic.place([change for change, _ in changes], histories)
    new: list[tuple[logic.Change, int, Message]] = []
    for (change, message), place in zip(changes, places, strict=True):
        if isinstance(place, Outcome):
            outcomes[message.id] = place
        else:
            new.append((change, place, message))
    failed = store.append_changes(new, histories, stored_at=time.time_ns() // 10**6)
    for change, _, message in new:
        code = failed.get(change.order_id)
        outcomes[message.id] = Outcome("failed", code) if code else logic.STORED
    return outcomes
