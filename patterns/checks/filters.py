"""Filters of what Lambda and Pipes read from queues and streams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import patterns

_OF_ALL = {"eventSource", "eventSourceARN", "awsRegion"}
_OF_STREAMS = {"eventID", "eventName", "eventVersion", *_OF_ALL}
# The fields of a source's records, as Lambda and Pipes filter them.
RECORDS = {
    "sqs": {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "md5OfMessageAttributes",
        *_OF_ALL,
    },
    "kinesis": {
        "kinesis",
        "kinesisSchemaVersion",
        "partitionKey",
        "sequenceNumber",
        "data",
        "approximateArrivalTimestamp",
        "invokeIdentityArn",
        *_OF_STREAMS,
    },
    "dynamodb": {"dynamodb", "userIdentity", *_OF_STREAMS},
}
CHANGES = ("INSERT", "MODIFY", "REMOVE")
IMAGES = ("Keys", "NewImage", "OldImage")
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
OF_CHANGES = {
    "ApproximateCreationDateTime", "SequenceNumber", "SizeBytes", "StreamViewType", *IMAGES,
}  # fmt: skip
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html
TYPES = {"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"}
BELOW = {"sqs": "body", "kinesis": "data", "dynamodb": "dynamodb"}


def matches_nothing(name: object, service: str, filters: Sequence[str | None]) -> str | None:
    """Filters name fields and values that the records of their source have.

    Lint E9115. Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html

    Args:
        name: What filters, for the message.
        service: Of the source: ``sqs``, ``kinesis``, ``dynamodb``.
        filters: The patterns, as JSON; None for one that only deployment knows.
    """
    problems = [_problem(one, service) for one in filters]
    if not problems or not all(problems):
        return None
    does = "deleted" if service == "sqs" else "skipped"
    return (
        f"{name} filters {problems[0]}: every record is {does}. Put fields of your own below "
        f"{BELOW[service]}."
    )


def _problem(pattern: str | None, service: str) -> str | None:
    """Return why no record fits a filter; None also when that is not known."""
    try:
        fields = json.loads(pattern) if pattern is not None else None
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    strange = _strange(fields, RECORDS[service])
    if strange:
        return f"by {strange}, which no record of {service} has"
    inner = fields.get("kinesis")
    if service == "kinesis" and isinstance(inner, Mapping) and "data" in inner:
        return "by kinesis.data, which Lambda does not decode for a filter, as it does data"
    changes = fields.get("eventName")
    if service == "dynamodb" and isinstance(changes, list) and changes:
        texts = [change for change in changes if isinstance(change, str)]
        if len(texts) == len(changes) and not set(texts) & {*CHANGES}:
            return f"by eventName {texts[0]}, but a change is one of {', '.join(CHANGES)}"
    change = fields.get("dynamodb")
    if isinstance(change, Mapping) and (why := _of_change(change)):
        return why
    found = patterns.why_nothing(fields)
    return f"by a pattern that nothing fits ({found})" if found else None


def _strange(fields: Mapping[str, Any], known: set[str]) -> str:
    """Return the fields that a record must have and none has; "" without one."""
    return ", ".join(
        sorted(
            name
            for name, wanted in fields.items()
            if name not in known and not name.startswith("$") and "exists" not in str(wanted)
        )
    )


def _of_change(change: Mapping[str, Any]) -> str | None:
    if strange := _strange(change, OF_CHANGES):
        return f"by dynamodb.{strange}, but an item is below {', '.join(IMAGES)}"
    for image in IMAGES:
        item = change.get(image)
        for name, value in item.items() if isinstance(item, Mapping) else ():
            untyped = isinstance(value, list) and "exists" not in str(value)
            wrong = _strange(value, TYPES) if isinstance(value, Mapping) else ""
            if not name.startswith("$") and (untyped or wrong):
                return (
                    f"by {image}.{name} without its type, but a stream has each value below "
                    f"one, as {{'{name}': {{'S': […]}}}}"
                )
    return None
