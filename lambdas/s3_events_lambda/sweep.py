"""Schedule → S3, DynamoDB → SQS or Lambda: finds what no event announced, and announces it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..foundation import aws, sweeps
from ..foundation.logs import logger
from . import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Compare what the bucket has with the results; return how many objects no event announced.

    Only the latest version of each key is looked at. It is idempotent, as the consumer is.

    Args:
        event: May say ``older_than_seconds``; younger objects may still be announced.
        context: How long it may run.

    Raises:
        UnfinishedError: the bucket is too large for one run, or the queue did not take everything.
    """
    started = time.time()
    oldest = started - event.get("older_than_seconds", sweeps.MIN_AGE)

    def find(page: list[Any]) -> tuple[int, int]:
        old = [one for one in page if one["LastModified"].timestamp() <= oldest]
        missing = [one for some in aws.batches(old, most=sweeps.MAX_KEYS) for one in _unknown(some)]
        sweeps.announce(missing, started)
        return len(old), len(missing)

    return sweeps.look(context, sweeps.latest(), find)


def _unknown(found: list[Any]) -> list[Any]:
    """Return those whose key has a result of another version, or none."""
    keys = [{"pk": {"S": one["Key"]}, "sk": {"S": store.CURRENT}} for one in found]
    items = sweeps.items(keys, "pk, version")
    known = {item["pk"]["S"]: item["version"]["S"] for item in items}
    return [one for one in found if known.get(one["Key"]) != sweeps.id_of(one)]
