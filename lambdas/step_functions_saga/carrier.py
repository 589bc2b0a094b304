"""SQS → shipments: the carrier's side of the saga. It answers with the task token it was given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation.outcomes import RefusedError
from ..foundation.reporting import NotDoneError
from . import executions, logic, store
from .messages import logger, postpone, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

    Read = tuple[Mapping[str, Any], logic.Instruction]

POSTPONED_SECONDS = 5


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Cancel, ship and answer what a batch asks for; a cancellation wins."""
    reads: list[Read] = []
    refused: list[tuple[Mapping[str, Any], RefusedError]] = []
    for record in event["Records"]:
        try:
            reads.append((record, logic.instruction(record["body"])))
        except RefusedError as error:
            refused.append((record, error))
    not_done = refuse(refused) | _work(reads)
    logger.info("Batch", records=len(reads), refused=len(refused), not_done=len(not_done))

    def report(record: Any) -> None:
        if record.message_id in not_done:
            raise NotDoneError(record.message_id)

    return process_partial_response(
        event=event,
        context=context,
        # Parcels on a ship come again by design: that is not an outage.
        processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
        record_handler=report,
    )


def _work(reads: Sequence[Read]) -> set[str]:
    """Do what is asked; return the ids of messages that SQS must deliver again."""
    choices = {
        record["messageId"]: logic.carriers_choice(
            asked.ship_to, int(record["attributes"]["ApproximateReceiveCount"])
        )
        for record, asked in reads
        if asked.action == "ship"
    }
    store.cancel(asked.order_id for _, asked in reads if asked.action == "cancel")
    states = store.ship(
        asked.order_id for record, asked in reads if choices.get(record["messageId"]) == "ship"
    )
    later = [read for read in reads if choices.get(read[0]["messageId"]) == "later"]
    not_done = _keep_waiting(later)
    for record, asked in reads:
        choice = choices.get(record["messageId"])
        outcome = "undeliverable" if choice == "refuse" else states.get(asked.order_id, "")
        if choice in ("ship", "refuse") and not _answer(asked, outcome):
            not_done.add(record["messageId"])
    return not_done


def _keep_waiting(later: Sequence[Read]) -> set[str]:
    """Give a sign of life for each parcel on a ship, and look at it again soon."""
    waited_for = [record for record, asked in later if executions.sign_of_life(asked.task_token)]
    if waited_for:
        postpone(waited_for, os.environ["QUEUE_URL"], POSTPONED_SECONDS)
    return {record["messageId"] for record in waited_for}


def _answer(asked: logic.Instruction, outcome: str) -> bool:
    """Return whether the saga has the outcome, or does not want it any more."""
    try:
        wanted = executions.answer(asked.task_token, outcome)
    except (ClientError, BotoCoreError):
        logger.exception("Not answered", order_id=asked.order_id)
        return False
    if not wanted:
        # The saga gave up; its cancellation is in the queue.
        logger.warning("Too late", order_id=asked.order_id, outcome=outcome)
    return True
