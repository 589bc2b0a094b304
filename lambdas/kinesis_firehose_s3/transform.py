"""Firehose → Firehose. Answers each record for itself, so one bad click never holds up the others.

Records that are no clicks fail, and Firehose stores them unmodified under the error prefix; clicks
that a rule drops are counted in the log. It does not call AWS.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..foundation.logs import logger
from . import logic

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Lambda returns at most 6 MB; a batch above it fails as a whole (Amazon Data Firehose developer
# guide, "Transform source data"). Leaves room for the rest of the response.
MAX_RESPONSE_BYTES = 5_500_000
RECORD_BYTES = 300
FULL = logic.failed(
    "response_full", "The batch has grown beyond 6 MB: lower the transform's batch_size."
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Clean a batch of clicks."""
    partition_keys = [key for key in os.environ.get("PARTITION_KEYS", "").split(",") if key]
    answers: list[dict[str, Any]] = []
    counts, failures = Counter[str](), Counter[str]()
    size = 0
    for record in event["records"]:
        record_id = record["recordId"]
        arrived_at = datetime.fromtimestamp(record["approximateArrivalTimestamp"] / 1000, UTC)
        outcome = logic.transform(base64.b64decode(record["data"]), arrived_at, partition_keys)
        size += RECORD_BYTES
        added = len(outcome.data) * 4 // 3
        if added and size + added > MAX_RESPONSE_BYTES:
            outcome, added = FULL, 0
        size += added
        counts.update(kept=outcome.kept, dropped_bots=outcome.dropped)
        if outcome.kind == "ProcessingFailed":
            failures[outcome.reason] += 1
            why = {"reason": outcome.reason, "detail": outcome.detail}
            logger.warning("Failed", extra={"record_id": record_id, **why})
        # Firehose keeps a failed record itself, so its data does not go back.
        data = base64.b64encode(outcome.data).decode()
        answer: dict[str, Any] = {"recordId": record_id, "result": outcome.kind, "data": data}
        if outcome.keys:
            answer["metadata"] = {"partitionKeys": dict(outcome.keys)}
        answers.append(answer)
    summary = {"records": len(answers), "failed": failures.total(), "failures": dict(failures)}
    logger.info("Batch", extra=summary | counts)
    return {"records": answers}
