"""Sweeps the answer queues of requesters that ended without closing them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from . import aws, sweeps
from .logs import logger
from .replies import GONE, HEARTBEAT
from .sweeps import UnfinishedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

ENDS_BEFORE = 10_000  # milliseconds that are left for the last queue
MAX_RESULTS = 1000  # Amazon SQS API reference, "ListQueues"


@logger.inject_lambda_context
def sweep(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Delete idle answer queues; return how many there were, and how many of them were idle.

    Args:
        event: May say ``idle_seconds``, in place of the construct's.
        context: How long it may run.

    Raises:
        UnfinishedError: there are too many for one run.
    """
    idle = event.get("idle_seconds", int(os.environ["IDLE_SECONDS"]))
    sqs, looked, found = aws.client("sqs", attempts=5), 0, 0
    prefix = os.environ["ANSWERS_URL"].rpartition("/")[2]
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": MAX_RESULTS}
    )
    try:
        for url in (url for page in pages for url in page.get("QueueUrls", ())):
            looked += 1
            found += _sweep(sqs, url, time.time() - idle)
            if context.get_remaining_time_in_millis() < ENDS_BEFORE:
                raise UnfinishedError(f"{looked} queues were looked at, and there are more.")
    finally:
        logger.info("Sweep", looked=looked, found=found)
        sweeps.measure(found, context.function_name)
    return {"looked": looked, "found": found}


def _sweep(sqs: Any, url: str, oldest: float) -> bool:
    """Delete a queue whose last heartbeat is too old; return whether it was."""
    try:
        tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
        if float(tags.get(HEARTBEAT, 0)) > oldest:
            return False
        sqs.delete_queue(QueueUrl=url)
    except sqs.exceptions.ClientError as error:
        if aws.code(error) not in GONE:  # its requester closed it meanwhile
            raise
        return False
    return True
