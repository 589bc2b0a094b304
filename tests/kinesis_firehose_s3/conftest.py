"""Clicks, and a stream and a bucket on moto."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import aws, kpl
from tests import moto_cloud
from tests.moto_cloud import REGION, client

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM, BUCKET = "clicks", "lake"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
THROTTLED = {"ErrorCode": "ProvisionedThroughputExceededException"}
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile/15E148"


def click(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a valid click."""
    return {
        "click_id": f"click-{number}",
        "user_id": "user-7",
        "session_id": "session-3",
        "clicked_at": "2026-11-21T11:59:58.123456+00:00",
        "page": "/parts/brakes/BRK-PAD-F?mail=someone%40example.com",
        "referrer": "https://www.example.com/search?q=secret",
        "user_agent": PHONE,
        "country": "DE",
    } | changes


def to_bytes(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


@dataclass
class Cloud(moto_cloud.Cloud):
    """A stream with four shards and a bucket."""

    kinesis: Any = field(default=None, repr=False)
    s3: Any = field(default=None, repr=False)

    def records(self) -> list[dict[str, Any]]:
        """Return every record of the stream."""
        found, kinesis = [], client("kinesis")
        for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
            where = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = kinesis.get_shard_iterator(StreamName=STREAM, **where)["ShardIterator"]
            found += kinesis.get_records(ShardIterator=iterator, Limit=10_000)["Records"]
        return found

    def events(self) -> list[bytes]:
        """Return every event of the stream, taken out of its record."""
        return [event for record in self.records() for event in kpl.split(record["Data"])]

    def keep(self, key: str, *records: bytes, between: str = "\n") -> None:
        """Write an error object as Firehose does."""
        documents = [
            json.dumps({"attemptsMade": 4, "rawData": base64.b64encode(record).decode()})
            for record in records
        ]
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=between.join(documents))

    def kept(self) -> dict[str, list[bytes]]:
        """Return the records of every error object, by key."""
        found, s3 = {}, client("s3")
        for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            body = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            documents = map(json.loads, body.splitlines())
            found[item["Key"]] = [base64.b64decode(it["rawData"]) for it in documents]
        return found


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud.cloud(monkeypatch, kind=Cloud) as cloud:
        client("kinesis").create_stream(StreamName=STREAM, ShardCount=4)
        where: Any = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        cloud.kinesis, cloud.s3 = aws.client("kinesis"), aws.client("s3")
        yield cloud
