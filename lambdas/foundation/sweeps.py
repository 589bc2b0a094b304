"""What a bucket and a table have; events, as S3 would send them, for what no event announced."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from . import aws, dead_letters
from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

MAX_KEYS = 100  # Amazon DynamoDB API reference, "BatchGetItem"
ATTEMPTS = 3
MIN_AGE = 900  # seconds: who has to do with a younger object may still be at work
ENDS_BEFORE = 20_000  # milliseconds that are left for the last page


class UnfinishedError(Exception):
    """A sweep ended before all was looked at, or sent."""


def look(
    context: LambdaContext,
    pages: Iterable[list[Any]],
    find: Callable[[list[Any]], tuple[int, int]],
    *,
    things: str = "objects",
    ends_before: int = ENDS_BEFORE,
) -> dict[str, int]:
    """Look at pages, one after the other; log and measure what was found, and return it.

    Args:
        context: How long it may run.
        pages: Such as ``latest()``.
        find: Works on a page; returns how many things it looked at, and how many it found.
        things: What they are. Default: objects.
        ends_before: Milliseconds that are left for a page. Default: 20,000.

    Raises:
        UnfinishedError: there is too much for one run, or raised by ``find``.
    """
    looked = found = 0
    try:
        for page in pages:
            at, more = find(page)
            looked, found = looked + at, found + more
            if context.get_remaining_time_in_millis() < ends_before:
                raise UnfinishedError(f"{looked} {things} were looked at, and there are more.")
    finally:
        logger.info("Sweep", looked=looked, found=found)
        measure(found, context.function_name)
    return {"looked": looked, "found": found}


def latest() -> Iterator[list[Any]]:
    """Yield what counts for each key of a bucket, a page at a time: its version or delete marker.

    The bucket is ``BUCKET_NAME``, its keys begin with ``PREFIX`` and end with ``SUFFIX``, if any.
    """
    ends = os.environ.get("SUFFIX", "")
    pages = aws.client("s3", read_timeout=10).get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=os.environ["BUCKET_NAME"], Prefix=os.environ["PREFIX"]):
        each = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield [one for one in each if one["IsLatest"] and one["Key"].endswith(ends)]


def items(keys: list[Any], fields: str) -> list[Mapping[str, Any]]:
    """Return what the table ``TABLE_NAME`` has of up to 100 keys, in DynamoDB's types.

    Raises:
        UnfinishedError: DynamoDB did not answer for every key.
    """
    found: list[Mapping[str, Any]] = []
    wanted: Any = {
        os.environ["TABLE_NAME"]: {
            "Keys": keys,
            "ProjectionExpression": fields,
            "ConsistentRead": True,
        }
    }
    for _ in range(ATTEMPTS):
        answer = aws.client("dynamodb").batch_get_item(RequestItems=wanted)
        found += answer["Responses"].get(os.environ["TABLE_NAME"], ())
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return found
    raise UnfinishedError("DynamoDB did not answer for every key.")


def measure(found: int, function: str) -> None:
    """Print the metric ``ObjectsFound``; CloudWatch reads it from the log, without a call."""
    about: Any = {"name": "ObjectsFound", "unit": MetricUnit.Count, "value": found}
    with single_metric(**about, namespace="ServerlessPatterns") as metric:
        metric.add_dimension(name="FunctionName", value=function)


def id_of(found: Mapping[str, Any]) -> str:
    """Return what ``ObjectEvent.id`` is for what was listed."""
    version: str = found["VersionId"]
    return version if version != "null" else f"etag-{found['ETag'].strip(chr(34))}"


def announce(missing: Iterable[Any], listed: float) -> None:
    """Announce each, as S3 would: without sequencer, at the listing's time.

    The event goes to the queue ``QUEUE_URL``, or else to the function ``FUNCTION_ARN``, which is
    invoked for it asynchronously.

    Args:
        missing: As ``latest`` yields them.
        listed: When the bucket was listed, in Unix seconds.

    Raises:
        UnfinishedError: the queue did not take all of them.
    """
    if "QUEUE_URL" not in os.environ:
        for one in missing:
            aws.client("lambda").invoke(
                FunctionName=os.environ["FUNCTION_ARN"],
                InvocationType="Event",
                Payload=json.dumps({"Records": [_record(one, listed)]}),
            )
        return
    entries = (
        {"Id": str(number), "MessageBody": json.dumps({"Records": [_record(one, listed)]})}
        for number, one in enumerate(missing)
    )
    if failed := dead_letters.send_all(os.environ["QUEUE_URL"], entries):
        codes = ", ".join(sorted({*failed.values()}))
        raise UnfinishedError(f"The queue did not take {len(failed)} events: {codes}.")


def _record(one: Mapping[str, Any], listed: float) -> dict[str, Any]:
    created, version = "ETag" in one, one["VersionId"]
    said = {"key": quote_plus(one["Key"], safe="/")}
    said |= {"versionId": version} if version != "null" else {}
    said |= {"eTag": one["ETag"].strip('"')} if created else {}
    return {
        "eventName": "ObjectCreated:Sweep" if created else "ObjectRemoved:DeleteMarkerCreated",
        "eventTime": datetime.fromtimestamp(listed, UTC).isoformat(),
        "s3": {"bucket": {"name": os.environ["BUCKET_NAME"]}, "object": said},
    }
