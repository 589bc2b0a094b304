"""Orders, changes and the SQS records they come in."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

SENT_AT = 1_790_000_000_000
RECEIVED_AT = SENT_AT - 25

_sequence = itertools.count(10**19)


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a valid order; ``changes`` replace its fields."""
    return {
        "order_id": f"ord-{number}",
        "customer_id": "customer-7",
        "currency": "EUR",
        "lines": [
            {
                "sku": "BRK-PAD-F",
                "name": "Bremsbelag vorn 🚗",
                "quantity": 2,
                "unit_price": "49.90",
            },
            {"sku": "OIL-FLT-3", "name": "Filtre à huile", "quantity": 1, "unit_price": "0.20"},
        ],
        "total": "100.00",
    } | changes


def largest_order(number: int = 1) -> dict[str, Any]:
    """Return an order that uses every length to the full."""
    line = {"sku": "S" * 64, "name": "🚗" * 128, "quantity": 999, "unit_price": "10000000.00"}
    return {
        "order_id": f"{number:064}",
        "customer_id": "C" * 64,
        "currency": "EUR",
        "lines": [line] * 100,
        "total": "999000000000.00",
    }


def change(number: int = 1, order_id: str = "ord-1", **changes: Any) -> dict[str, Any]:
    """Return a valid change; ``changes`` replace its fields."""
    return {
        "order_id": order_id,
        "change_id": f"chg-{number}",
        "kind": "quantity",
        "sku": "BRK-PAD-F",
        "quantity": number % 999 + 1,
    } | changes


def text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def record(body: Any, *, attributes: dict[str, Any] | None = None, **system: str) -> dict[str, Any]:
    """Return the record of a message that came through the API. ``system``: its attributes."""
    through_the_api = {
        "RequestId": string("req-1"),
        "Source": string("api/prod POST /orders"),
        "ReceivedAt": {**string(str(RECEIVED_AT)), "dataType": "Number"},
    }
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": body if isinstance(body, str) else text(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(SENT_AT),
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
        }
        | system,
        "messageAttributes": through_the_api if attributes is None else attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:orders",
        "awsRegion": "eu-central-1",
    }


def fifo_record(document: Any, group: str = "ord-1", **options: Any) -> dict[str, Any]:
    """Return the record of a message in a FIFO queue; later ones have higher sequence numbers."""
    return record(document, MessageGroupId=group, SequenceNumber=str(next(_sequence)), **options)


def string(value: str) -> dict[str, Any]:
    return {
        "stringValue": value,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
