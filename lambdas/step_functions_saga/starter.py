"""SQS → Step Functions: starts an order's saga, once however often the message comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from ..foundation.outcomes import RefusedError
from ..foundation.reporting import NotDoneError
from . import executions, logic
from .messages import logger, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

# What Step Functions says of an order that no retry can mend.
PERMANENT = ("InvalidExecutionInput", "InvalidName", "ValidationException")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Start the sagas of a batch. Step Functions takes one a call; it has no batch of them.

    Raises:
        BatchProcessingError: every record failed: an outage, which Lambda's Errors metric shows.
    """
    failed: dict[str, str] = {}
    refused: list[tuple[Mapping[str, Any], RefusedError]] = []
    for record in event["Records"]:
        try:
            _start(record["body"])
        except RefusedError as error:
            refused.append((record, error))
        except (ClientError, BotoCoreError) as error:
            failed[record["messageId"]] = aws.code(error)
    failed |= dict.fromkeys(refuse(refused), "DeadLetterQueue")
    log = logger.error if failed else logger.info
    log("Batch", records=len(event["Records"]), refused=len(refused), failed=failed)

    def report(record: Any) -> None:
        if record.message_id in failed:
            raise NotDoneError(failed[record.message_id])

    return process_partial_response(
        event=event,
        context=context,
        processor=BatchProcessor(event_type=EventType.SQS),
        record_handler=report,
    )


def _start(body: str) -> None:
    name = logic.execution_name(body)
    try:
        other = executions.start(name, body)
    except ClientError as error:
        if aws.code(error) in PERMANENT:
            raise RefusedError(aws.code(error), "Step Functions does not take it.") from error
        raise
    if other is not None and not logic.same_order(body, other):
        raise RefusedError("conflict", "Another order has been started under this id.")
