"""Sweeps the answer queues of requesters that ended without closing them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from . import aws, sweeps
from .logs import logger
from .replies import GONE, HEARTBEAT

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
    sqs = aws.client("sqs", attempts=5)
    prefix = os.environ["ANSWERS_URL"].rpartition("/")[2]
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": MAX_RESULTS}
    )
    each = ([url] for page in pages for url in page.get("QueueUrls", ()))

    def find(urls: list[Any]) -> tuple[int, int]:
        return 1, sum(_sweep(sqs, url, time.time() - idle) for url in urls)

    return sweeps.look(context, each, find, things="queues", ends_before=ENDS_BEFORE)


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
