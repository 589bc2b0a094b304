"""The handlers' table, bucket and queues on moto, and what the handlers did with them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from serverless_patterns.lambdas.foundation import dead_letters, reporting
from serverless_patterns.lambdas.sns_fifo_fanout import analytics, lake, price_list, prices
from tests import moto_cloud
from tests.moto_cloud import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "price-changes-lake"


@dataclass
class Cloud(moto_cloud.Cloud):
    """What the handlers use."""

    s3: Any = field(default=None, repr=False)

    def prices(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of a price list; return the ids of the records to deliver again."""
        return self.run_batch(prices.handler, self.fifo_queue_url, records)

    def analytics(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of analytics; return the ids of the records to deliver again."""
        return self.run_batch(analytics.handler, self.queue_url, records)

    def price(self, part: str) -> str | None:
        """Return the price of a part that counts."""
        found = [i for i in self.items() if i["part_id"] == part and i["sk"] == "PRICE"]
        return found[0]["price"] if found else None

    def history(self, part: str) -> dict[int, bool]:
        """Return the recorded versions of a part, and whether each came too late."""
        return {
            int(item["version"]): item["superseded"]
            for item in self.items()
            if item["part_id"] == part and item["sk"] != "PRICE"
        }

    def files(self) -> dict[str, list[dict[str, Any]]]:
        """Return the lines of every file of the lake."""
        keys = [e["Key"] for e in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
        return {
            key: [
                json.loads(line)
                for line in self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
            ]
            for key in keys
        }

    def reasons(self) -> list[str]:
        """Take every message out of the dead-letter queues; return their reasons."""
        return [letter["MessageAttributes"]["Reason"]["StringValue"] for letter in self.letters()]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    clients = (price_list.client, lake.client, dead_letters.client)
    monkeypatch.setenv("BUCKET_NAME", BUCKET)
    with moto_cloud.account(monkeypatch, *clients):
        s3: Any = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        resources = moto_cloud.resources(monkeypatch, reporting.logger, "pk", "sk")
        cloud = Cloud(**resources, s3=s3)
        for client in clients:
            cloud.watch(client())
        yield cloud
