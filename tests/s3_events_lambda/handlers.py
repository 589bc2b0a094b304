"""The consumer, with an account that it works in: a bucket with versions, and a table."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from serverless_patterns.lambdas.s3_events_lambda import corrections, price_lists
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.consumers import Consumer
from tests.moto_cloud import TABLE, client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

BUCKET = "lists"
GOOD, BAD = b"BRK-PAD-F,49.90,EUR\n", b"Geheimnis,49.9,EUR\n"


def put(key: str, content: bytes = GOOD) -> dict[str, str]:
    """Upload an object; return what its event says of it."""
    made = client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    return {"key": key, "version": made.get("VersionId", ""), "etag": made["ETag"].strip('"')}


def event(
    key: str,
    version: str = "",
    etag: str = "",
    sequencer: str | None = "0A",
    name: str = "ObjectCreated:Put",
    at: str = "2026-11-26T12:00:00.000Z",
    bucket: str = BUCKET,
) -> dict[str, Any]:
    """Return a record of a notification."""
    one: dict[str, str | None] = {"key": quote_plus(key, safe="/"), "versionId": version or None}
    one |= {"eTag": etag or None, "sequencer": sequencer}
    said = {part: value for part, value in one.items() if value is not None}
    return {"eventName": name, "eventTime": at, "s3": {"bucket": {"name": bucket}, "object": said}}


def records(*events: dict[str, Any]) -> dict[str, Any]:
    return {"Records": [*events]}


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, *, versioned: bool = True) -> Iterator[Cloud]:
    """An account with a bucket."""
    environment = {
        "TABLE_NAME": TABLE,
        "BUCKET_NAME": BUCKET,
        "PREFIX": "price-lists/",
        "SUFFIX": ".csv",
    }
    with moto_cloud.cloud(
        monkeypatch, tables={TABLE: ("pk", "sk")}, environment=environment
    ) as made:
        place: Any = {"LocationConstraint": moto_cloud.REGION}
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        if versioned:
            client("s3").put_bucket_versioning(
                Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
            )
        yield made


def good(number: int, _: int) -> dict[str, Any]:
    """Upload the list of this number, and return its event: the same each time."""
    key = f"price-lists/list-{number}.csv"
    said = put(key, f"SKU-{number},49.90,EUR\n".encode())
    return records(event(key, etag=said["etag"]))


def read_versions(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the event of each version that has a result."""
    rows = [row for row in cloud.items() if row["sk"].startswith("version#")]
    return [good(int(row["pk"].rpartition("-")[2].removesuffix(".csv")), 0) for row in rows]


CONSUMERS = {
    "price_lists": Consumer(
        price_lists.handler,
        partial(cloud, versioned=False),
        good=good,
        name=lambda number: f"list-{number}",
        bad=records(event("price-lists/Geheimnis.csv", etag="e", bucket="another")),
        reason="bucket",
        work="TransactWriteItems",
        secrets=("Geheimnis", "49.9"),
        effects=read_versions,
        untried="what it reads is in the bucket",
    )
}
DELIVERED = {
    "corrections": Delivered(
        replace(CONSUMERS["price_lists"], handler=corrections.handler), Asynchronous
    )
}
