"""A price list in DynamoDB: the only file that calls it.

Keys: ``pk`` is ``PART#<part id>``; ``sk`` is ``PRICE`` for the current price, and
``CHANGE#<version>`` for each change that was received. Changes do not expire, so a duplicate is
recognized forever.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, tables
from ..foundation.outcomes import STORED, Outcome
from . import logic
from .logic import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..foundation.messages import Message
    from .logic import PriceChange

    Received = tuple[PriceChange, Message]

# A batch of a FIFO queue has at most 10 messages, so at most 20 of the 100 actions that a
# transaction takes (Amazon DynamoDB API reference, "TransactWriteItems").
ATTEMPTS = 3
CANCELED = Outcome.failed("TransactionCanceled")


def record(received: Sequence[Received]) -> dict[str, Outcome]:
    """Record price changes in this order, as a rule in one call; return outcomes by message id.

    The conditions of the write are the check: nothing is read first. Only if one does not hold,
    DynamoDB answers with the item that it met, and the rest is written in a second call.
    """
    outcomes = _record_together(received)
    if outcomes is not None:
        return outcomes
    # Something cancels the transaction again and again: let it fail its own part alone.
    parts: dict[str, list[Received]] = {}
    for change, message in received:
        parts.setdefault(change.part_id, []).append((change, message))
    outcomes = {message.id: CANCELED for _, message in received}
    for part in parts.values() if len(parts) > 1 else ():
        outcomes |= _record_together(part) or {}
    return outcomes


def _record_together(received: Sequence[Received]) -> dict[str, Outcome] | None:
    """Record the changes in one transaction; return None if each attempt was canceled."""
    client = tables.client()
    ids = [message.id for _, message in received]
    known = Known()
    for _ in range(ATTEMPTS):
        outcomes = logic.plan([change for change, _ in received], known)
        writes = _writes(received, outcomes)
        try:
            if writes:
                client.transact_write_items(TransactItems=[{"Put": put} for put in writes.values()])
        except client.exceptions.TransactionCanceledException as error:
            _learn(known, list(writes), tables.reasons(error))
        except (ClientError, BotoCoreError) as error:
            return dict.fromkeys(ids, Outcome.failed(aws.code(error)))
        else:
            return dict(zip(ids, outcomes, strict=True))
    return None


def _writes(
    received: Sequence[Received], outcomes: Sequence[Outcome]
) -> dict[tuple[str, int], Any]:
    """Return the items to put, by part and version; version 0 is the current price."""
    writes: dict[tuple[str, int], Any] = {}
    oldest: dict[str, int] = {}
    for (change, message), outcome in zip(received, outcomes, strict=True):
        if outcome not in (STORED, logic.SUPERSEDED):
            continue
        item = {
            "pk": f"PART#{change.part_id}",
            **change.document,
            "message_id": message.id,
            "sent_at": message.sent_at,
            "stored_at": time.time_ns() // 10**6,
        }
        row = {
            "sk": f"CHANGE#{change.version:012}",
            "fingerprint": change.fingerprint,
            "superseded": outcome == logic.SUPERSEDED,
        }
        writes[change.key] = _put(item | row)
        if outcome == STORED:
            first = oldest.setdefault(change.part_id, change.version)
            writes[change.part_id, 0] = _put(item | {"sk": "PRICE"}) | {
                "ConditionExpression": "attribute_not_exists(pk) OR #version < :version",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": tables.serialize({":version": first}),
            }
    return writes


def _put(item: Mapping[str, Any]) -> Any:
    return tables.new(os.environ["TABLE_NAME"], item)


def _learn(
    known: Known, keys: Sequence[tuple[str, int]], reasons: Sequence[Mapping[str, Any]]
) -> None:
    """Note the items that canceled a transaction."""
    for (part_id, version), reason in zip(keys, reasons, strict=True):
        if reason.get("Code") != tables.CONDITION_FAILED:
            continue
        item = reason["Item"]
        if version:
            known.fingerprints[part_id, version] = tables.fingerprint(item)
        else:
            known.versions[part_id] = int(item["version"]["N"])
