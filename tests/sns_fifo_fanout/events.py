"""Price changes and the SQS records that they come in, delivered raw by SNS."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

SENT_AT = 1_790_000_000_000

_sequence = itertools.count(10**19)


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


def text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def record(body: Any, group: str | None = None) -> dict[str, Any]:
    """Return the record of a message; one with a group is from a FIFO queue."""
    fifo = (
        {} if group is None else {"MessageGroupId": group, "SequenceNumber": str(next(_sequence))}
    )
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": body if isinstance(body, str) else text(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(SENT_AT),
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
            **fifo,
        },
        "messageAttributes": {
            "channels": {
                "dataType": "String.Array",
                "stringValue": '["wholesale"]',
                "stringListValues": [],
                "binaryListValues": [],
            }
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:prices",
        "awsRegion": "eu-central-1",
    }


def in_order(document: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a change in a FIFO queue, in the group of its part."""
    return record(document, group=document["part_id"])


def ids(*records: dict[str, Any]) -> list[str]:
    return [record["messageId"] for record in records]
