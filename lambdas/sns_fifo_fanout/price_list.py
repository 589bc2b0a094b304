"""A price list in DynamoDB: the only file that calls it.

Keys: ``pk`` is ``PART#<part id>``; ``sk`` is ``PRICE`` for the price that counts, and
``CHANGE#<version>`` for each change that was received. Changes do not expire, so that a duplicate
is known as one for ever.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from ..foundation.outcomes import Outcome
from . import logic
from .logic import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from .logic import PriceChange
    from .messages import Message

    Received = tuple[PriceChange, Message]

# A batch of a FIFO queue has at most 10 messages, so at most 20 of the 100 actions that a
# transaction takes (Amazon DynamoDB API reference, "TransactWriteItems").
CONDITION_FAILED = "ConditionalCheckFailed"
TRIES = 3


@functools.cache
def client() -> DynamoDBClient:
    """Return the client, made on first use."""
    return boto3.client("dynamodb", config=aws.config())


def record(received: Sequence[Received], stored_at: int) -> dict[str, Outcome]:
    """Record price changes in this order, as a rule in one call; return what became of each.

    The conditions of the write are the check: nothing is read first. Only if one does not hold,
    DynamoDB answers with what stands in the way, and the rest is written in a second call.

    Args:
        received: Changes with their messages, whose ids are the result's keys.
        stored_at: Milliseconds since 1970.
    """
    if not received:
        return {}
    outcomes = _record_together(received, stored_at)
    if outcomes is not None:
        return outcomes
    # Something cancels the transaction again and again: let it fail its own part alone.
    parts: dict[str, list[Received]] = {}
    for change, message in received:
        parts.setdefault(change.part_id, []).append((change, message))
    outcomes = {}
    for part in parts.values():
        failed = {message.id: Outcome("failed", "TransactionCanceled") for _, message in part}
        outcomes |= (_record_together(part, stored_at) if len(parts) > 1 else None) or failed
    return outcomes


def _record_together(received: Sequence[Received], stored_at: int) -> dict[str, Outcome] | None:
    """Record the changes in one transaction; return None if it was cancelled to the last try."""
    ids = [message.id for _, message in received]
    known = Known()
    for _ in range(TRIES):
        outcomes = logic.plan([change for change, _ in received], known)
        writes = _writes(received, outcomes, stored_at)
        if not writes:
            return dict(zip(ids, outcomes, strict=True))
        try:
            client().transact_write_items(TransactItems=[{"Put": put} for put in writes.values()])
        except client().exceptions.TransactionCanceledException as error:
            _learn(known, list(writes), error.response["CancellationReasons"])
        except (ClientError, BotoCoreError) as error:
            return dict.fromkeys(ids, Outcome("failed", aws.code(error)))
        else:
            return dict(zip(ids, outcomes, strict=True))
    return None


def _writes(
    received: Sequence[Received], outcomes: Sequence[Outcome], stored_at: int
) -> dict[tuple[str, int], Any]:
    """Return the items to put, by part and version; version 0 is the price that counts."""
    writes: dict[tuple[str, int], Any] = {}
    oldest: dict[str, int] = {}
    for (change, message), outcome in zip(received, outcomes, strict=True):
        if outcome not in (logic.STORED, logic.SUPERSEDED):
            continue
        item = {
            **change.document,
            "channels": list(change.document["channels"]),
            "message_id": message.id,
            "sent_at": message.sent_at,
            "stored_at": stored_at,
        }
        row = {"sk": f"CHANGE#{change.version:012}", "fingerprint": change.fingerprint}
        superseded = outcome is logic.SUPERSEDED
        writes[change.key] = _put(
            change, item | row | {"superseded": superseded}, "attribute_not_exists(pk)"
        )
        if not superseded:
            first = oldest.setdefault(change.part_id, change.version)
            writes[change.part_id, 0] = _put(
                change,
                item | {"sk": "PRICE"},
                "attribute_not_exists(pk) OR #version < :version",
                first,
            )
    return writes


def _put(
    change: PriceChange, item: Mapping[str, Any], condition: str, version: int | None = None
) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    put = {
        "TableName": os.environ["TABLE_NAME"],
        "Item": serialize({"pk": f"PART#{change.part_id}", **item})["M"],
        "ConditionExpression": condition,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if version is not None:
        put["ExpressionAttributeNames"] = {"#version": "version"}
        put["ExpressionAttributeValues"] = {":version": serialize(version)}
    return put


def _learn(
    known: Known, keys: Sequence[tuple[str, int]], reasons: Sequence[Mapping[str, Any]]
) -> None:
    """Take up what stood in the way of a cancelled transaction."""
    for (part_id, version), reason in zip(keys, reasons, strict=True):
        if reason.get("Code") != CONDITION_FAILED:
            continue
        item = reason["Item"]
        if version:
            known.fingerprints[part_id, version] = item["fingerprint"]["S"]
        else:
            known.versions[part_id] = int(item["version"]["N"])
