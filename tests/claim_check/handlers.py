"""The consumers, the catalogs that they are tried with, and an account that they work in."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.claim_check import (
    announce,
    catalogs,
    catalogs_in_order,
    catalogs_shared,
)
from serverless_patterns.lambdas.foundation import strict_json
from serverless_patterns.patterns import limits
from tests import moto_cloud
from tests.lambdas.consumers import Consumer
from tests.moto_cloud import TABLE, client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

BUCKET, PREFIX = "bodies", "catalogs/"


def catalog(id_: str, parts: int = 0, **fields: Any) -> str:
    """Return a catalog as text."""
    part = json.dumps({"sku": "BRK-PAD-F", "price": "31313.67", "description": "Bremsbelag"})
    head = {"catalog_id": id_, "supplier": "Geheimnis", "parts": parts} | fields
    return "\n".join([json.dumps(head), *[part] * parts])


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, *, fifo: bool = False) -> Iterator[Cloud]:
    """An account with a bucket for bodies, a table, and the queue ``QUEUE_URL``."""
    environment = {
        "TABLE_NAME": TABLE,
        "BUCKET_NAME": BUCKET,
        "PREFIX": PREFIX,
        "SUFFIX": "",
        "KEPT_SECONDS": "86400",
    }
    with moto_cloud.cloud(monkeypatch, tables={TABLE: ("pk",)}, environment=environment) as made:
        place: Any = {"LocationConstraint": moto_cloud.REGION}
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        attributes = {"FifoQueue": "true"} if fifo else {}
        name = "claims.fifo" if fifo else "claims"
        url = client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        monkeypatch.setenv("QUEUE_URL", url)
        yield made


def _good(number: int, place: int) -> str:
    return catalog(f"list-{number}-{place}")  # of one line, it is JSON as a whole


def _applied(cloud: Cloud, number: int) -> list[int]:
    """Return the places of a group's catalogs, in the order in which they were stored."""
    found = [item["pk"].split("-") for item in cloud.items()]
    return [int(place) for _, group, place in found if group == str(number)]


def _event(number: int, _: int) -> dict[str, Any]:
    """Return what S3 says of an upload."""
    one = {"key": f"{PREFIX}list-{number}", "eTag": "e", "size": 7 + number, "sequencer": "0A"}
    said = {"eventName": "ObjectCreated:Put", "eventTime": "2026-11-26T12:00:00.000Z"}
    return {"Records": [said | {"s3": {"bucket": {"name": BUCKET}, "object": one}}]}


def _sent(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the events whose pointers were sent; consumers use each body once."""
    found = {body for body, _ in cloud.messages_in(os.environ["QUEUE_URL"])}
    return [_event(int(body.rpartition("-")[2].rstrip('"}]')), 1) for body in found]


consumer = partial(
    Consumer,
    cloud=cloud,
    good=_good,
    name=lambda number: f"list-{number}",
    bad=catalog("list-0", supplier="Geheimnis AG"),
    reason="field",
    work="TransactWriteItems",
    secrets=("Geheimnis",),
    other=lambda number, place: catalog(f"list-{number}-{place}", supplier="Geheimnis-2"),
    identity=lambda text: hashlib.sha256(text.encode()).hexdigest(),
)
CONSUMERS = {
    "catalogs": consumer(catalogs.handler),
    "catalogs_shared": consumer(catalogs_shared.handler),
    "catalogs_in_order": consumer(
        catalogs_in_order.handler, cloud=partial(cloud, fifo=True), applied=_applied
    ),
    "announce": consumer(
        announce.handler,
        good=_event,
        bad={"Records": [{**_event(0, 0)["Records"][0], "eventName": "ObjectRemoved:Delete"}]},
        reason="event",
        work="SendMessage",
        other=None,
        effects=_sent,
        identity=strict_json.fingerprint,
    ),
}
LIMITS = {
    "payloads.MAX_KEYS": limits.S3_DELETE_KEYS,
    "wire.MAX_BYTES": limits.EXTENDED_CLIENT_GB * 1024**3,
    "wire.MAX_KEY": limits.S3_KEY_BYTES,
}
