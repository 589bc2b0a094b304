"""Invoices in DynamoDB: the only file that calls it.

``pk`` is ``INVOICE#<order id>``. Nothing expires, so that a duplicate is known as one for ever.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from .logic import Invoice


class StoreError(Exception):
    """The table did not answer, or not with an answer; the message is the AWS error's code."""


@functools.cache
def client() -> DynamoDBClient:
    """Return the client, made on first use."""
    return boto3.client("dynamodb", config=aws.config())


def put_invoice(invoice: Invoice, text: str, request_id: str, issued_at: int) -> str | None:
    """Store an invoice unless its order has one; one call, whatever is there.

    Args:
        invoice: What to store.
        text: The document that the customer gets.
        request_id: Lambda's id of the event; a retry has the same one.
        issued_at: Milliseconds since 1970.

    Returns:
        The fingerprint of the invoice that is there already; None when this one was stored.

    Raises:
        StoreError: it could not be stored.
    """
    item = {
        "pk": f"INVOICE#{invoice.order_id}",
        "number": invoice.number,
        "request": invoice.document,
        "net": str(invoice.net),
        "vat": str(invoice.vat),
        "gross": str(invoice.gross),
        "text": text,
        "fingerprint": invoice.fingerprint,
        "request_id": request_id,
        "issued_at": issued_at,
    }
    try:
        client().put_item(
            TableName=os.environ["TABLE_NAME"],
            Item=TypeSerializer().serialize(item)["M"],
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except client().exceptions.ConditionalCheckFailedException as error:
        return _fingerprint(error.response)
    except (ClientError, BotoCoreError) as error:
        raise StoreError(aws.code(error)) from error
    return None


def _fingerprint(failure: Mapping[str, Any]) -> str:
    """Return the fingerprint of the item that stood in the way; none if it is not one of ours."""
    fingerprint: str = failure.get("Item", {}).get("fingerprint", {}).get("S", "")
    return fingerprint
