"""Invoked by the price application → SNS FIFO: price changes are published, each part's in order.

The caller waits for the answer. It sends what is unpublished again, before anything newer of the
same part; the deduplication ids stay the same, so that nothing is published twice for that.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..foundation import aws
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import logic, publisher

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Publish ``event["changes"]``; return the result of each in this order, below ``results``.

    A result has a ``status`` (``published``, ``refused``, ``unpublished``), and a ``reason`` unless
    it is published.
    """
    codes = [_reason(change) for change in event["changes"]]
    valid = [change for change, code in zip(event["changes"], codes, strict=True) if not code]
    published = publisher.publish(
        aws.client("sns"),
        os.environ["TOPIC_ARN"],
        valid,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    of_valid = iter([published.result(change["event_id"]) for change in valid])
    results = [{"status": "refused", "reason": code} if code else next(of_valid) for code in codes]
    counts: dict[str, Any] = Counter(result["status"] for result in results)
    logger.info("Published", **counts)
    return {"results": results}


def _reason(change: Any) -> str:
    """Return why a change is no valid one; nothing if it is."""
    try:
        logic.read(change)
    except RefusedError as error:
        return error.reason
    return ""
