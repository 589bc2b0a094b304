"""Kinesis → DynamoDB: what left the warehouse in each window, by part, without a read.

Lambda hands the state of a window from call to call, and asks for the result when it ends: AWS
Lambda developer guide, "Implementing stateful Kinesis Data Streams processing in Lambda".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation.logs import logger
from ..foundation.shards import Record
from . import store
from .logic import Totals

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Count a batch; store the totals when the window ends, or when its state is too large."""
    totals = Totals(**event.get("state") or {})
    for record in event["Records"]:
        totals.add(Record.of(record))
    logger.info("Batch", records=len(event["Records"]), events=totals.events)
    if event.get("isFinalInvokeForWindow") or event.get("isWindowTerminatedEarly"):
        if totals.first:
            store.put_totals(event["window"]["start"], event["shardId"], totals)
        # What is left of a window that was ended early begins anew, behind what was counted.
        totals = Totals(last=totals.last)
    return {"state": totals.state(), "batchItemFailures": []}
