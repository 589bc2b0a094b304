"""Invoices in DynamoDB: the only file that calls it.

``pk`` is ``INVOICE#<order id>``. Nothing expires, so a duplicate is recognized forever.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, tables

if TYPE_CHECKING:
    from .logic import Invoice


class StoreError(Exception):
    """The table did not answer, or with an error; the message is the AWS error's code."""


def put_invoice(invoice: Invoice, text: str, request_id: str) -> str | None:
    """Store an invoice unless its order has one, in one call.

    Args:
        invoice: To store.
        text: The document that the customer gets.
        request_id: Lambda's id of the event; a retry has the same one.

    Returns:
        The fingerprint of the invoice that is stored already; None when this one was stored.

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
        "issued_at": time.time_ns() // 10**6,
    }
    client = tables.client()
    try:
        client.put_item(**tables.new(os.environ["TABLE_NAME"], item))
    except client.exceptions.ConditionalCheckFailedException as error:
        answer: Any = error.response
        return tables.fingerprint(answer.get("Item", {}))
    except (ClientError, BotoCoreError) as error:
        raise StoreError(aws.code(error)) from error
    return None
