"""The consumers, and the catalogs that they are tried with."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.claim_check import announce, catalogs, catalogs_in_order
from serverless_patterns.lambdas.claim_check import catalogs_shared as shared
from serverless_patterns.lambdas.foundation import strict_json
from tests.lambdas.consumers import Consumer
from tests.lambdas.large import BUCKET, PREFIX, cloud

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud


def catalog(id_: str, parts: int = 0, **fields: Any) -> str:
    """Return a catalog as text."""
    part = json.dumps({"sku": "BRK-PAD-F", "price": "31313.67", "description": "Bremsbelag"})
    head = {"catalog_id": id_, "supplier": "Geheimnis", "parts": parts} | fields
    return "\n".join([json.dumps(head), *[part] * parts])


def upload(key: str, size: int, kind: str = "ObjectCreated:Put") -> dict[str, Any]:
    """Return what S3 says of an upload."""
    one = {"key": f"{PREFIX}{key}", "eTag": "e", "size": size, "sequencer": "0A"}
    said = {"eventName": kind, "eventTime": "2026-11-26T12:00:00.000Z"}
    return {"Records": [said | {"s3": {"bucket": {"name": BUCKET}, "object": one}}]}


def _upload(number: int, _: int) -> dict[str, Any]:
    return upload(f"list-{number}", 7 + number)


def _good(number: int, place: int) -> str:
    return catalog(f"list-{number}-{place}")  # of one line, it is JSON as a whole


def _applied(cloud: Cloud, number: int) -> list[int]:
    """Return the places of a group's catalogs, in the order in which they were stored."""
    items = [item for item in cloud.items() if "read_at" in item]
    found = [item["pk"].split("-") for item in sorted(items, key=itemgetter("read_at"))]
    return [int(place) for _, group, place in found if group == str(number)]


def _sent(cloud: Cloud) -> list[dict[str, Any]]:
    """Return the events whose pointers were sent; consumers use each body once."""
    found = {body for body, _ in cloud.messages_in(os.environ["QUEUE_URL"])}
    return [_upload(int(body.rpartition("-")[2].rstrip('"}]')), 1) for body in found]


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
    "catalogs_shared": consumer(shared.handler),
    "catalogs_in_order": consumer(
        catalogs_in_order.handler, cloud=partial(cloud, fifo=True), applied=_applied
    ),
    "announce": consumer(
        announce.handler,
        good=_upload,
        bad=upload("list-0", 7, "ObjectRemoved:Delete"),
        reason="event",
        work="SendMessageBatch",
        other=None,
        effects=_sent,
        identity=strict_json.fingerprint,
    ),
}
