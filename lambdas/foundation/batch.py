"""The handler of every queue: parse, write, dead-letter refused messages, report failures.

A pattern supplies the two steps that are its own. One bad message never re-runs the good ones: it
goes to the dead-letter queue with its reason, and only failed messages are delivered again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from botocore.exceptions import BotoCoreError, ClientError

from . import aws, dead_letters
from .logs import logger
from .messages import Message
from .outcomes import BEHIND_A_FAILURE, Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

    T = TypeVar("T")
    Write = Callable[[Sequence[tuple[T, Message]]], Mapping[str, Outcome]]
    Report = Callable[[Sequence[Message], Mapping[str, Outcome]], Mapping[str, Outcome]]
    Handler = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]


class NotDoneError(Exception):
    """Tells Powertools to report a record as failed, so that SQS delivers it again."""


def handler(
    parse: Callable[[Message], T],
    write: Write[T],
    *,
    fifo: bool = False,
    report: Report | None = None,
) -> Handler:
    """Return the handler of a queue.

    It raises ``BatchProcessingError`` if every record failed: an outage, which Lambda's Errors
    metric shows.

    Args:
        parse: Returns what a message says, or raises ``RefusedError``.
        write: Processes the parsed messages, in the order of the queue; returns the outcome of
            each, by message id. An error of AWS that it raises fails all of them.
        fifo: Whether the queue keeps an order: messages behind a failure of their group then fail
            too. Default: no.
        report: Tells somebody what became of the messages, before the refused ones are
            dead-lettered; returns those that are to be delivered again for that, by message id.
            Default: nobody is told.
    """

    @logger.inject_lambda_context
    def handle(event: dict[str, Any], _: LambdaContext) -> PartialItemFailureResponse:
        messages = [Message.of(record) for record in event["Records"]]
        outcomes = process(messages, parse, write)
        if fifo:  # a refused message behind a failure waits for its turn
            outcomes = hold_back(messages, outcomes)
        if report:
            outcomes |= report(messages, outcomes)
        outcomes |= _dead_letter(messages, outcomes)
        if fifo:  # a message that the dead-letter queue did not take has failed as well
            outcomes = hold_back(messages, outcomes)
        log_summary(outcomes)
        return _answer(event, outcomes)

    return handle


def one_by_one(work: Callable[[T, Message], Outcome], *, fifo: bool = False) -> Write[T]:
    """Return a ``write`` that processes message by message, where AWS has no call for many.

    Each fails or is refused alone. Once AWS cannot be reached, the others fail without an attempt:
    the function's time is short. In a FIFO queue, so do those behind a failure of their group.
    """

    def write(parsed: Sequence[tuple[T, Message]]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        unreachable: Outcome | None = None
        behind: dict[str | None, Outcome] = {}
        for said, message in parsed:
            try:
                outcome = unreachable or behind.get(message.group_id) or work(said, message)
            except RefusedError as error:
                outcome = Outcome.refused(error)
            except ClientError as error:
                outcome = Outcome.failed(aws.code(error))
            except BotoCoreError as error:
                outcome = Outcome.failed(aws.code(error))
            outcomes[message.id] = outcome
            if outcome.kind == "failed" and aws.never_answered(outcome.reason):
                unreachable = outcome
            if fifo and outcome.kind == "failed":
                behind[message.group_id] = BEHIND_A_FAILURE
        return outcomes

    return write


def hold_back(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Return the outcomes with everything behind a failure of its group failed too.

    AWS Lambda developer guide, "Handling errors for an SQS event source": for a FIFO queue, stop
    at the first failure and return all failed and unprocessed messages.

    Args:
        messages: In the order of the queue.
        outcomes: By message id.
    """
    held_back = dict(outcomes)
    failed: set[str | None] = set()
    for message in messages:
        if held_back[message.id].kind == "failed":
            failed.add(message.group_id)
        elif message.group_id in failed:
            held_back[message.id] = BEHIND_A_FAILURE
    return held_back


def process(
    messages: Sequence[Message], parse: Callable[[Message], T], write: Write[T]
) -> dict[str, Outcome]:
    """Parse messages and process those that are valid; return the outcome of each, by its id."""
    outcomes: dict[str, Outcome] = {}
    parsed: list[tuple[T, Message]] = []
    for message in messages:
        try:
            parsed.append((parse(message), message))
        except RefusedError as error:
            outcomes[message.id] = Outcome.refused(error)
    if not parsed:
        return outcomes
    try:
        return outcomes | dict(write(parsed))
    except (ClientError, BotoCoreError) as error:
        return outcomes | {message.id: Outcome.failed(aws.code(error)) for _, message in parsed}


def _dead_letter(
    messages: Sequence[Message], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Send the refused messages to the dead-letter queue; those it did not take have failed."""
    refused = [(m, outcomes[m.id]) for m in messages if outcomes[m.id].kind == "refused"]
    failed = dead_letters.send(refused)
    for message, outcome in refused:
        if message.id not in failed:
            logger.warning("Refused", **message.ids, reason=outcome.reason, detail=outcome.detail)
    return {message_id: Outcome.failed(code) for message_id, code in failed.items()}


def log_summary(outcomes: Mapping[str, Outcome]) -> None:
    """Log what became of a batch."""
    kinds = Counter(outcome.kind for outcome in outcomes.values())
    failures = Counter(outcome.reason for outcome in outcomes.values() if outcome.kind == "failed")
    log = logger.error if failures else logger.info
    log(
        "Batch",
        records=len(outcomes),
        outcomes=dict(kinds),
        refused=kinds["refused"],
        failed=kinds["failed"],
        failures=dict(failures),
    )


def _answer(event: dict[str, Any], outcomes: Mapping[str, Outcome]) -> PartialItemFailureResponse:
    """Return the records to deliver again; raise if every one failed."""

    def report(record: Any) -> None:
        outcome = outcomes[record.message_id]
        if outcome.kind in ("failed", "postponed"):
            raise NotDoneError(outcome.reason or outcome.kind)

    outage = all(outcome.kind == "failed" for outcome in outcomes.values())
    return process_partial_response(
        event=event,
        processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=outage),
        record_handler=report,
    )
