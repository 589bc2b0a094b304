"""The consumers, and the price changes that they are tried with."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.sns_fifo_fanout import analytics, prices
from tests import moto_cloud
from tests.lambdas.consumers import Consumer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

BUCKET = "price-changes-lake"


def change(version: int = 1, part: str = "BRK-PAD-F", **fields: Any) -> dict[str, Any]:
    """Return a valid price change; ``fields`` replace its fields."""
    return {
        "event_id": f"{part}-{version}",
        "part_id": part,
        "version": version,
        "price": f"{version}.90",
        "currency": "EUR",
        "channels": ["wholesale", "retail"],
        "changed_at": "2026-11-21T08:00:00Z",
    } | fields


def in_order(document: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a change in a FIFO queue, in the group of its part."""
    channels = moto_cloud.string('["wholesale"]', "String.Array")
    return moto_cloud.record(document, document["part_id"], attributes={"channels": channels})


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    environment = {"TABLE_NAME": moto_cloud.TABLE, "BUCKET_NAME": BUCKET}
    tables = {moto_cloud.TABLE: ("pk", "sk")}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment) as cloud:
        where: Any = {"LocationConstraint": moto_cloud.REGION}
        moto_cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield cloud


def _of_a_day(day: int, version: int) -> dict[str, Any]:
    moment = f"{2010 + day % 80}-11-21T08:00:00Z"
    return change(version, f"part-{day}", changed_at=moment, price="31313.67")


def _versions(cloud: Cloud, number: int) -> list[int]:
    """Return the versions of a part that took effect; the last one is its price."""
    rows = [item for item in cloud.items() if item["part_id"] == f"part-{number}"]
    versions = sorted(int(row["version"]) for row in rows if row.get("superseded") is False)
    assert [int(row["version"]) for row in rows if row["sk"] == "PRICE"] == versions[-1:]
    return versions


def _lines(cloud: Cloud) -> list[Any]:
    """Return the lines of the lake; readers use each event once."""
    return [json.loads(it) for it in {it for f in cloud.files(BUCKET) for it in f.splitlines()}]


consumer = partial(
    Consumer,
    cloud=cloud,
    good=_of_a_day,  # a file of the lake holds the changes of a day, and fails as a whole
    name=lambda number: f"part-{number}",
    bad=change(2, price="-98765.43"),
    reason="price",
    secrets=("31313", "98765"),
    other=lambda day, version: _of_a_day(day, version) | {"price": "31313.68"},
)
CONSUMERS = {
    "prices": consumer(prices.handler, work="TransactWriteItems", applied=_versions),
    "analytics": consumer(analytics.handler, work="PutObject", other=None, effects=_lines),
}
