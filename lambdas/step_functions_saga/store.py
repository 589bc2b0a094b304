"""Payments, accounts and shipments in DynamoDB: the only file that calls it.

Keys: ``id`` is ``CUSTOMER#<id>`` or ``PAYMENT#<order id>`` in the accounts' table, the order's id
in the shipments'. A row that says ``refunded`` or ``cancelled`` stays for ever: what comes late
finds it and does nothing.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3

from ..foundation import aws
from . import logic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

CONDITION_FAILED = "ConditionalCheckFailed"
# Amazon DynamoDB API reference, "TransactWriteItems" and "BatchWriteItem".
MAX_ACTIONS = 100
MAX_PUTS = 25


@functools.cache
def client() -> DynamoDBClient:
    """Return the client, made on first use."""
    return boto3.client("dynamodb", config=aws.config())


def charge(order_id: str, customer_id: str, amount: int) -> str:
    """Take the amount from the customer's account, once; return what became of it."""
    payment = {
        "id": {"S": f"PAYMENT#{order_id}"},
        "state": {"S": "charged"},
        "customer_id": {"S": customer_id},
        "amount": {"N": str(amount)},
    }
    try:
        client().transact_write_items(
            TransactItems=[
                {
                    "Put": {
                        "TableName": _accounts(),
                        "Item": payment,
                        "ConditionExpression": "attribute_not_exists(id)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
                {"Update": _move(customer_id, -amount)},
            ]
        )
    except client().exceptions.TransactionCanceledException as error:
        there, account = _reasons(error)
        if {there["Code"], account["Code"]} - {CONDITION_FAILED, "None"}:
            raise
        return logic.charge_outcome(
            _state(there.get("Item")), covered=account["Code"] != CONDITION_FAILED
        )
    return "charged"


def refund(order_id: str, customer_id: str, amount: int) -> str:
    """Give the amount back, once; if nothing was charged, see to it that nothing will be.

    Raises:
        TransactionCanceledException: something else is in the way; try again.
        ConditionalCheckFailedException: it was charged just now; try again.
    """
    try:
        client().transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": _accounts(),
                        "Key": {"id": {"S": f"PAYMENT#{order_id}"}},
                        "UpdateExpression": "SET #state = :refunded",
                        "ConditionExpression": "#state = :charged AND amount = :amount",
                        "ExpressionAttributeNames": {"#state": "state"},
                        "ExpressionAttributeValues": {
                            ":charged": {"S": "charged"},
                            ":refunded": {"S": "refunded"},
                            ":amount": {"N": str(amount)},
                        },
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
                {"Update": _move(customer_id, amount)},
            ]
        )
    except client().exceptions.TransactionCanceledException as error:
        there, _ = _reasons(error)
        state = _state(there.get("Item"))
        if there["Code"] != CONDITION_FAILED or state == "charged":
            raise
        if state is None:
            _bar(order_id)
    return "refunded"


def _bar(order_id: str) -> None:
    """Leave a refunded payment of nothing, so that a charge that comes late is not made."""
    client().put_item(
        TableName=_accounts(),
        Item={
            "id": {"S": f"PAYMENT#{order_id}"},
            "state": {"S": "refunded"},
            "amount": {"N": "0"},
        },
        ConditionExpression="attribute_not_exists(id)",
    )


def _move(customer_id: str, amount: int) -> Any:
    update: dict[str, Any] = {
        "TableName": _accounts(),
        "Key": {"id": {"S": f"CUSTOMER#{customer_id}"}},
        "UpdateExpression": "SET balance = balance + :amount",
        "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
    }
    if amount <= 0:
        update["ConditionExpression"] = "balance >= :price"
        update["ExpressionAttributeValues"][":price"] = {"N": str(-amount)}
    return update


def ship(order_ids: Iterable[str]) -> dict[str, str]:
    """Note shipments that are not there yet, in one call; return each order's state after that.

    What is there already is left as it is, and the rest written in a second call.

    Raises:
        TransactionCanceledException: something else is in the way; try again.
    """
    states: dict[str, str] = {}
    wanted = list(dict.fromkeys(order_ids))
    for start in range(0, len(wanted), MAX_ACTIONS):
        states |= _ship(wanted[start : start + MAX_ACTIONS])
    return states


def _ship(order_ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for attempt in range(2):
        new = [order_id for order_id in order_ids if order_id not in found]
        if not new:
            break
        try:
            client().transact_write_items(TransactItems=[_shipment(id_) for id_ in new])
            return found | dict.fromkeys(new, "shipped")
        except client().exceptions.TransactionCanceledException as error:
            reasons = _reasons(error)
            if attempt or {reason["Code"] for reason in reasons} - {CONDITION_FAILED, "None"}:
                raise
            for order_id, reason in zip(new, reasons, strict=True):
                if reason["Code"] == CONDITION_FAILED:
                    found[order_id] = _state(reason.get("Item")) or ""
    return found


def _shipment(order_id: str) -> Any:
    return {
        "Put": {
            "TableName": _shipments(),
            "Item": {"id": {"S": order_id}, "state": {"S": "shipped"}},
            "ConditionExpression": "attribute_not_exists(id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def cancel(order_ids: Iterable[str]) -> None:
    """Cancel shipments, made or yet to come.

    Raises:
        RuntimeError: DynamoDB did not take all of them; try again.
    """
    wanted = list(dict.fromkeys(order_ids))
    for start in range(0, len(wanted), MAX_PUTS):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": order_id}, "state": {"S": "cancelled"}}}}
            for order_id in wanted[start : start + MAX_PUTS]
        ]
        requests: Any = {_shipments(): puts}
        for _ in range(3):
            requests = client().batch_write_item(RequestItems=requests).get("UnprocessedItems")
            if not requests:
                break
        else:
            raise RuntimeError("DynamoDB did not take all cancellations.")


def _reasons(error: Any) -> list[Mapping[str, Any]]:
    reasons: list[Mapping[str, Any]] = error.response["CancellationReasons"]
    return reasons


def _state(item: Mapping[str, Any] | None) -> str | None:
    return item["state"]["S"] if item else None


def _accounts() -> str:
    return os.environ["ACCOUNTS_TABLE"]


def _shipments() -> str:
    return os.environ["SHIPMENTS_TABLE"]
