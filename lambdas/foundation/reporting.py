"""What handlers of queues do with the outcomes of a batch: dead-letter, log, report failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aws_lambda_powertools import Logger

from . import dead_letters
from .outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def report(outcome: Outcome) -> None:
    """Report a record's outcome to Powertools.

    Raises:
        NotDoneError: it failed.
    """
    if outcome.kind == "failed":
        raise NotDoneError(outcome.reason)
