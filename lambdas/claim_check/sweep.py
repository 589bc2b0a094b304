"""Schedule → S3, DynamoDB → S3: deletes the bodies that no message needs.

A body is an orphan when its work is done, or when it is older than any message can be.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..foundation import bodies, claims, sweeps
from ..foundation.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Delete orphans; return how many bodies there were, and how many of them were orphans.

    Args:
        event: May say ``older_than_seconds``, for bodies whose work is done, and
            ``kept_seconds``, for the others.
        context: How long it may run.

    Raises:
        UnfinishedError: the bucket is too large for one run, or S3 did not delete all.
    """
    now = time.time()
    young = now - event.get("older_than_seconds", sweeps.MIN_AGE)
    oldest = now - event.get("kept_seconds", int(os.environ["KEPT_SECONDS"]))

    def find(page: list[Any]) -> tuple[int, int]:
        there = [one for one in page if "ETag" in one]  # and no delete marker
        aged = {one["Key"]: one["LastModified"].timestamp() for one in there}
        orphans = {key for key, at in aged.items() if at <= oldest}
        orphans |= claims.done_with(key for key, at in aged.items() if oldest < at <= young)
        if bodies.delete(bodies.client(), os.environ["BUCKET_NAME"], orphans):
            raise sweeps.UnfinishedError("S3 did not delete every body.")
        return len(aged), len(orphans)

    return sweeps.look(context, find)
