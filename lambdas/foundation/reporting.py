"""What handlers of queues do with the outcomes of a batch: dead-letter, log, report failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import process_partial_response

from . import dead_letters
from .outcomes import Outcome, hold_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aws_lambda_powertools.utilities.batch import BasePartialBatchProcessor
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Ids and reasons only: no customer, name, price or body ever gets into a log line.
logger = Logger()


class NotDoneError(Exception):
    """Tells Powertools to report a record as failed, so that SQS delivers it again."""


class Named(dead_letters.Letter, Protocol):
    """A message with the ids that a log line names it by."""

    @property
    def ids(self) -> Mapping[str, Any]:
        """By the log line's own names."""


def dead_letter(messages: Iterable[Named], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Send the refused messages to the dead-letter queue; return the outcomes after that.

    What the queue did not take has failed, so SQS delivers it again.
    """
    refused = [message for message in messages if outcomes[message.id].kind == "refused"]
    failed = dead_letters.send((message, outcomes[message.id]) for message in refused)
    for message in refused:
        if message.id not in failed:
            outcome = outcomes[message.id]
            logger.warning("Refused", **message.ids, reason=outcome.reason, detail=outcome.detail)
    return dict(outcomes) | {id_: Outcome("failed", code) for id_, code in failed.items()}


def dead_letter_in_order(
    messages: Sequence[Named], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Do the same for a FIFO queue: what is behind a failure of its group has failed, too."""
    groups = [(message.id, message.group_id) for message in messages]
    return hold_back(groups, dead_letter(messages, hold_back(groups, outcomes)))


def answer(
    event: dict[str, Any],
    context: LambdaContext,
    processor: BasePartialBatchProcessor,
    outcomes: Mapping[str, Outcome],
) -> PartialItemFailureResponse:
    """Return what Lambda is told: the records to deliver again.

    Args:
        event: The batch.
        context: Of the call.
        processor: Powertools' for the type of queue; it asks for the outcome of each record.
        outcomes: By message id.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """

    def report(record: Any) -> None:
        outcome = outcomes[record.message_id]
        if outcome.kind == "failed":
            raise NotDoneError(outcome.reason)

    return process_partial_response(
        event=event, context=context, processor=processor, record_handler=report
    )
