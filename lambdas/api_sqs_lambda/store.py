"""Orders and the history of their changes in DynamoDB: the only file that calls it.

Keys: ``pk`` is ``ORDER#<order id>``; ``sk`` is ``ORDER`` for the order, ``CHANGES`` for the head
of its history, ``CHANGE#<change id>`` for a change. Nothing expires, so that a duplicate is known
as one for ever.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from .logic import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from .logic import Change, Order
    from .messages import Message

# A transaction takes 100 actions and 4 MB (Amazon DynamoDB API reference, "TransactWriteItems").
# We count the JSON of the items, and stay well below.
MAX_ACTIONS = 100
MAX_BYTES = 2 * 1024**2

IF_ABSENT = "attribute_not_exists(pk)"
CONDITION_FAILED = "ConditionalCheckFailed"


class StoreError(Exception):
    """The table did not answer, or not with an answer; ``code`` is the AWS error's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Writes:
    """What did not become a new item, by order id.

    Args:
        found: Fingerprint of the order that the table holds already.
        failed: Error code; the write may be tried again.
    """

    found: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    id: str
    put: Any
    size: int


@functools.cache
def client(tries: int = 3) -> DynamoDBClient:
    """Return the client, made on first use. ``tries``: of a call, the first one included."""
    return boto3.client("dynamodb", config=aws.config(tries=tries))


def put_orders(orders: Iterable[tuple[Order, Message]], stored_at: int) -> Writes:
    """Store orders that are not there yet, in one call; ids must be unique.

    One transaction, since that is the only conditional write of many items: each order is
    written only if its id is free.

    Args:
        orders: With the message that each came in.
        stored_at: Milliseconds since 1970.
    """
    writes = Writes()
    rows = (_order_row(order, message, stored_at) for order, message in orders)
    for part in aws.batches(rows, most=MAX_ACTIONS, largest=MAX_BYTES, size=lambda row: row.size):
        _put_together(part, writes)
    return writes


def _order_row(order: Order, message: Message, stored_at: int) -> _Row:
    item = {
        **_keys(order.id, "ORDER"),
        **order.document,
        **_origin(message),
        "fingerprint": order.fingerprint,
        "stored_at": stored_at,
    }
    return _Row(order.id, _put(item), len(message.body.encode()) + 1024)


def _put_together(rows: list[_Row], writes: Writes) -> None:
    """Write all rows in one transaction; without those that are there already, in a second."""
    for _ in range(2):
        try:
            client().transact_write_items(TransactItems=[{"Put": row.put} for row in rows])
            return
        except client().exceptions.TransactionCanceledException as error:
            reasons: list[Any] = error.response["CancellationReasons"]
            writes.found |= {
                row.id: _fingerprint(reason)
                for row, reason in zip(rows, reasons, strict=True)
                if reason["Code"] == CONDITION_FAILED
            }
            rows = [row for row in rows if row.id not in writes.found]
            if not rows:
                return
            if {reason["Code"] for reason in reasons} - {CONDITION_FAILED, "None"}:
                break
        except (ClientError, BotoCoreError) as error:
            if aws.code(error) == "ValidationException":
                break
            writes.failed |= {row.id: aws.code(error) for row in rows}
            return
    _put_each(rows, writes)


def _put_each(rows: list[_Row], writes: Writes) -> None:
    """Write row by row, so that what cancels a transaction fails alone.

    One try each: SQS delivers again what fails, and the function's time is short.
    """
    single = client(tries=1)
    for number, row in enumerate(rows):
        try:
            single.put_item(**row.put)
        except single.exceptions.ConditionalCheckFailedException as error:
            writes.found[row.id] = _fingerprint(error.response)
        except ClientError as error:
            writes.failed[row.id] = aws.code(error)
        except BotoCoreError as error:
            writes.failed |= {row.id: aws.code(error) for row in rows[number:]}
            return


def read_histories(changes: Iterable[Change]) -> dict[str, History]:
    """Return the histories of the changes' orders, by order id, in one call.

    Raises:
        StoreError: they could not be read.
    """
    order_ids = list(dict.fromkeys(change.order_id for change in changes))
    change_ids = list(dict.fromkeys((change.order_id, change.id) for change in changes))
    if not order_ids:
        return {}
    keys = [_keys(order_id, "CHANGES") for order_id in order_ids]
    keys += [_keys(order_id, f"CHANGE#{change_id}") for order_id, change_id in change_ids]
    items = _read(keys)
    heads = dict(zip(order_ids, items, strict=False))
    rows = dict(zip(change_ids, items[len(order_ids) :], strict=True))
    return {
        order_id: History(
            revision=int(head["revision"]["N"]) if head else 0,
            fingerprints={
                change_id: row["fingerprint"]["S"]
                for (order, change_id), row in rows.items()
                if order == order_id and row
            },
        )
        for order_id, head in heads.items()
    }


def _read(keys: Iterable[Mapping[str, str]]) -> list[Mapping[str, Any]]:
    """Return the items at these keys, all as of one moment; an empty one is not there."""
    try:
        answer = client().transact_get_items(
            TransactItems=[
                {
                    "Get": {
                        "TableName": os.environ["TABLE_NAME"],
                        "Key": _serialize(key),
                        "ProjectionExpression": "revision, fingerprint",
                    }
                }
                for key in keys
            ]
        )
    except (ClientError, BotoCoreError) as error:
        raise StoreError(aws.code(error)) from error
    return [response.get("Item", {}) for response in answer["Responses"]]


def append_changes(
    changes: Iterable[tuple[Change, int, Message]],
    histories: Mapping[str, History],
    stored_at: int,
) -> dict[str, str]:
    """Append changes to their orders' histories, in one call; return error codes by order id.

    An order's changes are written all or none, and only if nobody else has appended meanwhile.

    Args:
        changes: Each with its revision and its message.
        histories: As they were read, by order id.
        stored_at: Milliseconds since 1970.
    """
    actions: dict[str, list[dict[str, Any]]] = {}
    revisions: dict[str, int] = {}
    for change, revision, message in changes:
        row = _put(_change_item(change, revision, message, stored_at))
        actions.setdefault(change.order_id, []).append({"Put": row})
        revisions[change.order_id] = revision
    for order_id, revision in revisions.items():
        head = _move_head(order_id, histories[order_id].revision, revision)
        actions[order_id].append({"Update": head})
    return _append(actions)


def _change_item(change: Change, revision: int, message: Message, stored_at: int) -> dict[str, Any]:
    return {
        **_keys(change.order_id, f"CHANGE#{change.id}"),
        **change.document,
        **_origin(message),
        "fingerprint": change.fingerprint,
        "revision": revision,
        "sequence_number": message.sequence_number,
        "stored_at": stored_at,
    }


def _move_head(order_id: str, old: int, new: int) -> dict[str, Any]:
    """Return the update of a history's head, on condition that it is still the one we read."""
    values = {":new": new} | ({":old": old} if old else {})
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Key": _serialize(_keys(order_id, "CHANGES")),
        "UpdateExpression": "SET revision = :new",
        "ConditionExpression": "revision = :old" if old else IF_ABSENT,
        "ExpressionAttributeValues": _serialize(values),
    }


def _append(actions: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Write the actions in one transaction; if it is cancelled, in one for each order."""
    if not actions:
        return {}
    together: list[Any] = [action for group in actions.values() for action in group]
    try:
        client().transact_write_items(TransactItems=together)
    except (ClientError, BotoCoreError) as error:
        code = aws.code(error)
        if len(actions) == 1 or code not in ("TransactionCanceledException", "ValidationException"):
            return dict.fromkeys(actions, code)
        failed: dict[str, str] = {}
        for order_id, group in actions.items():
            failed |= _append({order_id: group})
        return failed
    return {}


def _keys(order_id: str, sort_key: str) -> dict[str, str]:
    return {"pk": f"ORDER#{order_id}", "sk": sort_key}


def _origin(message: Message) -> dict[str, Any]:
    return {
        "message_id": message.id,
        "request_id": message.request_id,
        "received_at": message.received_at,
    }


def _put(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Item": _serialize(item),
        "ConditionExpression": IF_ABSENT,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _serialize(item: Mapping[str, Any]) -> Any:
    return TypeSerializer().serialize(item)["M"]


def _fingerprint(failure: Mapping[str, Any]) -> str:
    """Return the fingerprint of the item that stood in the way; none if it is not one of ours."""
    fingerprint: str = failure.get("Item", {}).get("fingerprint", {}).get("S", "")
    return fingerprint
