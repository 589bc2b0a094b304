"""Conditional writes to DynamoDB: many new items in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from . import aws
from .outcomes import BEHIND_A_FAILURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

# A transaction takes 100 actions and 4 MB (Amazon DynamoDB API reference, "TransactWriteItems").
# We count the request, which is larger than its items.
MAX_ACTIONS = 100
MAX_BYTES = 3 * 1024**2
CONDITION_FAILED = "ConditionalCheckFailed"


@dataclass
class Puts:
    """What became of the items to put; one whose name is in neither was written.

    Args:
        found: The item that has its key already, in DynamoDB's types.
        failed: Error code; the put may be repeated.
    """

    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def client(attempts: int = 3) -> DynamoDBClient:
    """Return the client. ``attempts``: of a call, the first one included."""
    found: DynamoDBClient = aws.client("dynamodb", attempts=attempts)
    return found


def serialize(item: Mapping[str, Any]) -> Any:
    """Return an item in DynamoDB's types."""
    return TypeSerializer().serialize(item)["M"]


def deserialize(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item in Python's types."""
    read = TypeDeserializer().deserialize
    return {name: read(value) for name, value in item.items()}


def new(table: str, item: Mapping[str, Any], key: str = "pk") -> Any:
    """Return the put of an item whose key must be free; an error tells the item that has it.

    Args:
        table: Its name.
        item: In Python's types.
        key: Name of the partition key. Default: ``pk``.
    """
    return {
        "TableName": table,
        "Item": serialize(item),
        "ConditionExpression": f"attribute_not_exists({key})",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def put_new(puts: Mapping[str, Any], groups: Mapping[str, str | None] | None = None) -> Puts:
    """Put every item whose key is free, in one transaction; without the others, in a second.

    A transaction is the only conditional write of many items.

    Args:
        puts: Made by ``new``, by a name of yours; no two of one key.
        groups: The group of each, by the same name: behind a failure of its group nothing is put,
            and all of that has failed. Default: no order is kept.
    """
    result, groups = Puts(), groups or {}
    for part in aws.batches(
        puts.items(), most=MAX_ACTIONS, largest=MAX_BYTES, size=lambda put: len(str(put).encode())
    ):
        if now := _in_turn(dict(part), groups, result):
            _put_together(now, groups, result)
    return result


def reasons(error: Any) -> list[Mapping[str, Any]]:
    """Return why a transaction was canceled: one reason for each action."""
    found: list[Mapping[str, Any]] = error.response["CancellationReasons"]
    return found


def fingerprint(item: Mapping[str, Any]) -> str:
    """Return the fingerprint of a stored item; none if it is not one of ours."""
    found: str = item.get("fingerprint", {}).get("S", "")
    return found


def _in_turn(puts: Mapping[str, Any], groups: Mapping[str, Any], result: Puts) -> dict[str, Any]:
    """Return the puts that are not behind a failure of their group; the others have failed."""
    stopped = {groups.get(name) for name in result.failed} - {None}
    behind = [name for name in puts if groups.get(name) in stopped]
    result.failed |= dict.fromkeys(behind, BEHIND_A_FAILURE.reason)
    return {name: put for name, put in puts.items() if name not in behind}


def _put_together(puts: dict[str, Any], groups: Mapping[str, Any], result: Puts) -> None:
    for _ in range(2):
        try:
            client().transact_write_items(TransactItems=[{"Put": put} for put in puts.values()])
            return
        except client().exceptions.TransactionCanceledException as error:
            why = dict(zip(puts, reasons(error), strict=True))
            result.found |= {
                name: reason.get("Item", {})
                for name, reason in why.items()
                if reason["Code"] == CONDITION_FAILED
            }
            puts = {name: put for name, put in puts.items() if name not in result.found}
            if not puts:
                return
            if {reason["Code"] for reason in why.values()} - {CONDITION_FAILED, "None"}:
                break
        except (ClientError, BotoCoreError) as error:
            if aws.code(error) == "ValidationException":
                break
            result.failed |= dict.fromkeys(puts, aws.code(error))
            return
    _put_each(puts, groups, result)


def _put_each(puts: dict[str, Any], groups: Mapping[str, Any], result: Puts) -> None:
    """Put item by item, so that the one that cancels a transaction fails alone.

    One attempt each: SQS delivers failed messages again, and the function's time is short.
    """
    single = client(attempts=1)
    left = dict(puts)
    for name, put in puts.items():
        if not _in_turn({name: put}, groups, result):
            continue
        try:
            single.put_item(**put)
        except single.exceptions.ConditionalCheckFailedException as error:
            answer: Any = error.response
            result.found[name] = answer.get("Item", {})
        except ClientError as error:
            result.failed[name] = aws.code(error)
        except BotoCoreError as error:  # unreachable: the others are not attempted
            result.failed |= dict.fromkeys(left, aws.code(error))
            return
        del left[name]
