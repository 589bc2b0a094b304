"""What the handlers do with the outcomes of a batch: dead-letter, log, report failures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from ..foundation import dead_letters
from . import logic
from .logic import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .messages import Message

# Ids and reasons only: no price and no body ever gets into a log line.
logger = Logger()


class NotDoneError(Exception):
    """Tells Powertools to report a record as failed, so that SQS delivers it again."""


def dead_letter(messages: Iterable[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Send the refused messages to the dead-letter queue; return the outcomes after that.

    What the queue did not take has failed, so SQS delivers it again.
    """
    refused = [message for message in messages if outcomes[message.id].kind == "refused"]
    failed = dead_letters.send((message, outcomes[message.id]) for message in refused)
    for message in refused:
        if message.id not in failed:
            logger.warning(
                "Refused",
                message_id=message.id,
                group_id=message.group_id,
                reason=outcomes[message.id].reason,
                detail=outcomes[message.id].detail,
            )
    return dict(outcomes) | {id_: Outcome("failed", code) for id_, code in failed.items()}


def log_summary(outcomes: Mapping[str, Outcome]) -> None:
    """Log one line for the batch."""
    failures = Counter(outcome.reason for outcome in outcomes.values() if outcome.kind == "failed")
    log = logger.error if failures else logger.info
    log("Batch", outcomes=logic.counts(outcomes.values()), failures=dict(failures))


def report(outcome: Outcome) -> None:
    """Report a record's outcome to Powertools.

    Raises:
        NotDoneError: it failed.
    """
    if outcome.kind == "failed":
        raise NotDoneError(outcome.reason)
