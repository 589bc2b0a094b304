"""Payments, accounts and shipments in DynamoDB: the only file that calls it.

Keys: ``id`` is ``CUSTOMER#<id>`` or ``PAYMENT#<order id>`` in the accounts' table, the order's id
in the shipments'. A row that says ``refunded`` or ``cancelled`` stays forever: what comes late
finds it and does nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import aws, tables
from . import logic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_PUTS = 25  # Amazon DynamoDB API reference, "BatchWriteItem"


def client() -> Any:
    """Return the client of the steps: the state machine waits 12 seconds, then retries itself."""
    return tables.client(attempts=2)


def charge(order_id: str, customer_id: str, amount: int) -> str:
    """Take the amount from the customer's account, once; return what became of it."""
    payment = {"state": "charged", "customer_id": customer_id, "amount": amount}
    move = _move(customer_id, -amount, ConditionExpression="balance >= :price")
    move["ExpressionAttributeValues"] |= tables.serialize({":price": amount})
    try:
        client().transact_write_items(
            TransactItems=[{"Put": _new_payment(order_id, payment)}, {"Update": move}]
        )
    except client().exceptions.TransactionCanceledException as error:
        there, account = tables.reasons(error)
        if {there["Code"], account["Code"]} - {tables.CONDITION_FAILED, "None"}:
            raise
        return logic.charge_outcome(
            _state(there.get("Item")), covered=account["Code"] != tables.CONDITION_FAILED
        )
    return "charged"


def refund(order_id: str, customer_id: str, amount: int) -> str:
    """Give the amount back, once; if nothing was charged, make sure that nothing will be.

    Raises:
        TransactionCanceledException: another write is in progress; try again.
        ConditionalCheckFailedException: it was charged just now; try again.
    """
    values = {":charged": "charged", ":refunded": "refunded", ":amount": amount}
    payment: Any = {
        "TableName": os.environ["ACCOUNTS_TABLE"],
        "Key": {"id": {"S": f"PAYMENT#{order_id}"}},
        "UpdateExpression": "SET #state = :refunded",
        "ConditionExpression": "#state = :charged AND amount = :amount",
        "ExpressionAttributeNames": {"#state": "state"},
        "ExpressionAttributeValues": tables.serialize(values),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    try:
        client().transact_write_items(
            TransactItems=[{"Update": payment}, {"Update": _move(customer_id, amount)}]
        )
    except client().exceptions.TransactionCanceledException as error:
        there, _ = tables.reasons(error)
        state = _state(there.get("Item"))
        if there["Code"] != tables.CONDITION_FAILED or state == "charged":
            raise
        if state is None:  # a refunded payment of nothing bars a charge that comes late
            client().put_item(**_new_payment(order_id, {"state": "refunded", "amount": 0}))
    return "refunded"


def ship(order_ids: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Note shipments that are not there yet, in one call.

    Returns:
        Each order's state after that, and the error codes of those that failed.
    """
    table = os.environ["SHIPMENTS_TABLE"]
    wanted = list(dict.fromkeys(order_ids))
    puts = tables.put_new(
        {id_: tables.new(table, {"id": id_, "state": "shipped"}, key="id") for id_ in wanted}
    )
    found = {order_id: _state(item) or "" for order_id, item in puts.found.items()}
    return dict.fromkeys(wanted, "shipped") | found, puts.failed


def cancel(order_ids: Iterable[str]) -> dict[str, str]:
    """Cancel shipments, made or yet to come; return error codes of those that failed."""
    table = os.environ["SHIPMENTS_TABLE"]
    failed: dict[str, str] = {}
    for part in aws.batches(dict.fromkeys(order_ids), most=MAX_PUTS):
        left: list[Any] = [
            {"PutRequest": {"Item": tables.serialize({"id": order_id, "state": "cancelled"})}}
            for order_id in part
        ]
        for _ in range(3):
            answer = tables.client().batch_write_item(RequestItems={table: left})
            left = answer["UnprocessedItems"].get(table, [])
            if not left:
                break
        failed |= {put["PutRequest"]["Item"]["id"]["S"]: "UnprocessedItems" for put in left}
    return failed


def _new_payment(order_id: str, payment: Mapping[str, Any]) -> Any:
    item = {"id": f"PAYMENT#{order_id}", **payment}
    return tables.new(os.environ["ACCOUNTS_TABLE"], item, key="id")


def _move(customer_id: str, amount: int, **condition: str) -> Any:
    return {
        "TableName": os.environ["ACCOUNTS_TABLE"],
        "Key": {"id": {"S": f"CUSTOMER#{customer_id}"}},
        "UpdateExpression": "SET balance = balance + :amount",
        "ExpressionAttributeValues": tables.serialize({":amount": amount}),
        **condition,
    }


def _state(item: Mapping[str, Any] | None) -> str | None:
    return item["state"]["S"] if item else None
