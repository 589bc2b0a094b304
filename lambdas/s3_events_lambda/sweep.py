"""Schedule → S3, DynamoDB → SQS: finds what no event announced, and sends an event in its place."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from ..foundation import aws
from ..foundation.logs import logger
from . import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

# Amazon DynamoDB API reference, "BatchGetItem"; Amazon SQS API reference, "SendMessageBatch".
MAX_KEYS = 100
MAX_ENTRIES = 10
MIN_AGE = 900  # an event is late by a minute at times; its message may wait for a retry
ENDS_BEFORE = 20_000  # milliseconds that are left for the last page
ATTEMPTS = 3


class UnfinishedError(Exception):
    """The run ended before all was looked at, or sent."""


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
    oldest = started - event.get("older_than_seconds", MIN_AGE)
    looked = found = 0
    try:
        for page in _pages():
            latest = [one for one in _latest(page) if one["LastModified"].timestamp() <= oldest]
            looked += len(latest)
            missing = [one for some in _batches(latest) for one in _unknown(some)]
            _announce(missing, started)
            found += len(missing)
            if context.get_remaining_time_in_millis() < ENDS_BEFORE:
                raise UnfinishedError(f"{looked} objects were looked at, and there are more.")
    finally:
        logger.info("Sweep", looked=looked, found=found)
        _measure(found, context.function_name)
    return {"looked": looked, "found": found}


def _pages() -> Iterator[Any]:
    pages = aws.client("s3", read_timeout=10).get_paginator("list_object_versions")
    yield from pages.paginate(Bucket=os.environ["BUCKET_NAME"], Prefix=os.environ["PREFIX"])


def _latest(page: Mapping[str, Any]) -> list[Any]:
    each = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    ends = os.environ["SUFFIX"]
    return [one for one in each if one["IsLatest"] and one["Key"].endswith(ends)]


def _batches(found: list[Any]) -> Iterator[list[Any]]:
    yield from aws.batches(found, most=MAX_KEYS)


def _unknown(found: list[Any]) -> list[Any]:
    """Return those whose key has a result of another version, or none."""
    wanted: Any = {
        os.environ["TABLE_NAME"]: {
            "Keys": [{"pk": {"S": one["Key"]}, "sk": {"S": store.CURRENT}} for one in found],
            "ProjectionExpression": "pk, version",
            "ConsistentRead": True,
        }
    }
    known: dict[str, str] = {}
    for _ in range(ATTEMPTS):
        answer = aws.client("dynamodb").batch_get_item(RequestItems=wanted)
        items = answer["Responses"].get(os.environ["TABLE_NAME"], ())
        known |= {item["pk"]["S"]: item["version"]["S"] for item in items}
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return [one for one in found if known.get(one["Key"]) != _version(one)]
    raise UnfinishedError("DynamoDB did not answer for every key.")


def _version(one: Mapping[str, Any]) -> str:
    """Return what the results call a version; of a bucket without versions, its content."""
    version: str = one["VersionId"]
    etag = one.get("ETag", "").strip('"')
    return version if version != "null" else f"etag-{etag}"


def _announce(missing: list[Any], listed: float) -> None:
    for some in aws.batches(missing, most=MAX_ENTRIES):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"Records": [_record(one, listed)]})}
            for number, one in enumerate(some)
        ]
        for _ in range(ATTEMPTS):
            answer = aws.client("sqs").send_message_batch(
                QueueUrl=os.environ["QUEUE_URL"], Entries=entries
            )
            failed = {failure["Id"] for failure in answer.get("Failed", ())}
            entries = [entry for entry in entries if entry["Id"] in failed]
            if not entries:
                break
        else:
            raise UnfinishedError("The queue did not take every event.")


def _record(one: Mapping[str, Any], listed: float) -> dict[str, Any]:
    """Return an event as S3 would send it, but without a sequencer, at the time of the listing."""
    from datetime import UTC, datetime
    from urllib.parse import quote_plus

    created = "ETag" in one
    version = {"versionId": one["VersionId"]} if one["VersionId"] != "null" else {}
    etag = {"eTag": one["ETag"].strip('"')} if created else {}
    return {
        "eventName": "ObjectCreated:Sweep" if created else "ObjectRemoved:DeleteMarkerCreated",
        "eventTime": datetime.fromtimestamp(listed, UTC).isoformat(),
        "s3": {
            "bucket": {"name": os.environ["BUCKET_NAME"]},
            "object": {"key": quote_plus(one["Key"], safe="/"), **version, **etag},
        },
    }


def _measure(found: int, function: str) -> None:
    """Print the metric; CloudWatch reads it from the log, without a call."""
    with single_metric(
        name="ObjectsFound",
        unit=MetricUnit.Count,
        value=found,
        namespace="ServerlessPatterns",
    ) as metric:
        metric.add_dimension(name="FunctionName", value=function)
