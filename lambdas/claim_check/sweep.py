"""Schedule → S3, DynamoDB → S3: deletes the bodies that no message needs.

A body is an orphan when its work is done, or when it is older than any message can be.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ..foundation import aws, sweeps
from ..foundation.logs import logger
from ..foundation.sweeps import UnfinishedError
from . import payloads
from .catalogs import done_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

MIN_AGE = 900  # a consumer deletes the body a moment after it has written that the work is done
ENDS_BEFORE = 20_000  # milliseconds that are left for the last page


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
    now, bucket = time.time(), os.environ["BUCKET_NAME"]
    young = now - event.get("older_than_seconds", MIN_AGE)
    oldest = now - event.get("kept_seconds", int(os.environ["KEPT_SECONDS"]))
    looked = found = 0
    try:
        for page in sweeps.latest():
            there = [one for one in page if "ETag" in one]  # and no delete marker
            aged = {one["Key"]: one["LastModified"].timestamp() for one in there}
            looked += len(aged)
            expired = {key for key, at in aged.items() if at <= oldest}
            orphans = expired | _done(key for key, at in aged.items() if oldest < at <= young)
            found += len(orphans)
            if payloads.delete(payloads.client(), bucket, orphans):
                raise UnfinishedError("S3 did not delete every body.")
            if context.get_remaining_time_in_millis() < ENDS_BEFORE:
                raise UnfinishedError(f"{looked} objects were looked at, and there are more.")
    finally:
        logger.info("Sweep", looked=looked, found=found)
        sweeps.measure(found, context.function_name)
    return {"looked": looked, "found": found}


def _done(keys: Any) -> set[str]:
    """Return those whose work is done."""
    found: set[str] = set()
    for some in aws.batches(keys, most=sweeps.MAX_KEYS):
        wanted = [{"pk": {"S": done_key(key)}} for key in some]
        done = {item["pk"]["S"] for item in sweeps.items(wanted, "pk")}
        found |= {key for key in some if done_key(key) in done}
    return found
