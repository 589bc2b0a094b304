"""Firehose → Firehose. Answers each record for itself, so one bad click never holds up the others.

What is not a click fails, and Firehose keeps it as it came below the error prefix; what a rule
drops is counted in the log. No AWS is called.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import (
    KinesisFirehoseDataTransformationRecord,
    KinesisFirehoseDataTransformationRecordMetadata,
    KinesisFirehoseDataTransformationResponse,
    KinesisFirehoseEvent,
)

from . import logic
from .logic import Outcome

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.kinesis_firehose_event import (
        KinesisFirehoseRecord,
    )
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Lambda returns at most 6 MB; a batch above it fails as a whole (Amazon Data Firehose developer
# guide, "Transform source data"). Leaves room for what stands around the data.
MAX_RESPONSE_BYTES = 5_500_000
RECORD_BYTES = 300

# Record ids and reasons only: nothing of a click ever gets into a log line.
logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Clean a batch of clicks."""
    partition_keys = [key for key in os.environ.get("PARTITION_KEYS", "").split(",") if key]
    response = KinesisFirehoseDataTransformationResponse()
    outcomes: list[Outcome] = []
    size = 0
    for record in KinesisFirehoseEvent(event).records:
        arrived_at = datetime.fromtimestamp(record.approximate_arrival_timestamp / 1000, UTC)
        outcome = logic.transform(record.data_as_bytes, arrived_at, partition_keys)
        size += RECORD_BYTES + len(outcome.data) * 4 // 3
        if size > MAX_RESPONSE_BYTES and outcome.data:
            size -= len(outcome.data) * 4 // 3
            outcome = Outcome(
                "ProcessingFailed",
                reason="response_full",
                detail="The batch has grown beyond 6 MB: lower transform_buffering_size.",
            )
        if outcome.kind == "ProcessingFailed":
            logger.warning(
                "Failed", record_id=record.record_id, reason=outcome.reason, detail=outcome.detail
            )
        outcomes.append(outcome)
        response.add_record(_answer(record, outcome))
    _log_summary(outcomes)
    return response.asdict()


def _answer(
    record: KinesisFirehoseRecord, outcome: Outcome
) -> KinesisFirehoseDataTransformationRecord:
    # Firehose keeps what it sent us of a failed record, so nothing of it has to go back.
    return record.build_data_transformation_response(
        result=outcome.kind,
        data=base64.b64encode(outcome.data).decode(),
        metadata=(
            KinesisFirehoseDataTransformationRecordMetadata(partition_keys=dict(outcome.keys))
            if outcome.keys
            else None
        ),
    )


def _log_summary(outcomes: list[Outcome]) -> None:
    failures = Counter(o.reason for o in outcomes if o.kind == "ProcessingFailed")
    logger.info(
        "Batch",
        records=len(outcomes),
        kept=sum(outcome.kept for outcome in outcomes),
        dropped_bots=sum(outcome.dropped for outcome in outcomes),
        failed=failures.total(),
        failures=dict(failures),
    )
