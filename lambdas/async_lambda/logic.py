"""The rules of an invoice: what can be invoiced, the tax on it, and what is the same one again.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LINES = 500
MAX_QUANTITY = 999
MAX_NAME = 128

# Decimal places of the currencies that the shop takes (ISO 4217, "minor unit").
CURRENCIES = {"CHF": 2, "CZK": 2, "EUR": 2, "GBP": 2, "JPY": 0, "NOK": 2, "SEK": 2}
FIELDS = ("order_id", "customer_id", "country", "currency", "lines", "total", "requested_at")

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RefusedError(Exception):
    """What no retry can mend.

    Args:
        reason: Short code, for machines.
        detail: Plain sentence, without a word of what the client sent.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Invoice:
    """An invoice to be issued.

    Args:
        order_id: The order that it is for; an order has one invoice.
        document: What was ordered, as requested.
        net: Sum of the lines.
        vat_rate: Rate of the value added tax in the customer's country.
        vat: The tax, rounded half up to the currency's smallest unit.
        fingerprint: Tells the same request from another one for the same order.
    """

    order_id: str
    document: Mapping[str, Any]
    net: Decimal
    vat_rate: Decimal
    vat: Decimal
    fingerprint: str

    @property
    def number(self) -> str:
        """Number of the invoice: made of the order's, so that a retry gets the same one."""
        return f"INV-{self.order_id}"

    @property
    def gross(self) -> Decimal:
        """What the customer pays."""
        return self.net + self.vat


def make_invoice(request: Any, vat_rates: Mapping[str, str]) -> Invoice:
    """Return the invoice for an order.

    Args:
        request: The event.
        vat_rates: By country, as decimal fractions: ``{"DE": "0.19"}``.

    Raises:
        RefusedError: no invoice can be made of it.
    """
    document = _object(request, "The event", *FIELDS)
    _id(document["order_id"], "order_id")
    _id(document["customer_id"], "customer_id")
    _whole(document["requested_at"], "requested_at", 10**15)
    digits = CURRENCIES.get(_text(document["currency"], "currency"))
    if digits is None:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    rate = vat_rates.get(_text(document["country"], "country"))
    if rate is None:
        raise RefusedError("country", "There is no tax rate for this country.")
    lines = document["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_LINES:
        raise RefusedError("field", f"lines must be a list of 1 to {MAX_LINES}.")
    net = sum((_net(line, f"lines[{n}]", digits) for n, line in enumerate(lines)), Decimal())
    if _amount(document["total"], "total", digits) != net:
        raise RefusedError("total", "total is not the sum of the lines.")
    return Invoice(
        order_id=document["order_id"],
        document=document,
        net=net,
        vat_rate=Decimal(rate),
        vat=(net * Decimal(rate)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP),
        fingerprint=fingerprint(document),
    )


def _net(line: Any, where: str, digits: int) -> Decimal:
    line = _object(line, where, "sku", "name", "quantity", "unit_price")
    _id(line["sku"], f"{where}.sku")
    _text(line["name"], f"{where}.name")
    quantity = _whole(line["quantity"], f"{where}.quantity", MAX_QUANTITY)
    return _amount(line["unit_price"], f"{where}.unit_price", digits) * quantity


def compare(invoice: Invoice, stored: str) -> Literal["duplicate"]:
    """Say what a request is when its order has an invoice already.

    Args:
        invoice: What would be issued.
        stored: Fingerprint of the one that was.

    Raises:
        RefusedError: it is another one.
    """
    if invoice.fingerprint != stored:
        raise RefusedError("conflict", "The order has another invoice already.")
    return "duplicate"


def fingerprint(document: Any) -> str:
    """Return a hash that is the same for the same document, whatever the order of its keys."""
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise RefusedError("text", "A text is not Unicode: half a surrogate pair.") from None


def _object(value: Any, where: str, *fields: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError("field", f"{where} must be an object.")
    if missing := [field for field in fields if field not in value]:
        raise RefusedError("field", f"{where} lacks {', '.join(missing)}.")
    if len(value) > len(fields):
        raise RefusedError("field", f"{where} has a field other than {', '.join(fields)}.")
    return value


def _id(value: Any, where: str) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise RefusedError("field", f"{where} must be 1 to 64 of A-Z a-z 0-9 _ -.")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or _CONTROL.search(value):
        raise RefusedError("field", f"{where} must be a text of 1 to {MAX_NAME} characters.")
    return value


def _whole(value: Any, where: str, largest: int) -> int:
    if type(value) is not int or not 1 <= value <= largest:  # bool is an int too
        raise RefusedError("field", f"{where} must be a whole number from 1 to {largest}.")
    return value


def _amount(value: Any, where: str, digits: int) -> Decimal:
    """Return an amount; it has one spelling, so that equal requests have equal fingerprints."""
    fraction = rf"\.[0-9]{{{digits}}}" if digits else ""
    if not isinstance(value, str) or not re.fullmatch(rf"(0|[1-9][0-9]{{0,11}}){fraction}", value):
        raise RefusedError("amount", f"{where} must be a text with {digits} decimal places.")
    return Decimal(value)
