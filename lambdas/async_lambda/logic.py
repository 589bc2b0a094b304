"""The rules of an invoice: what can be invoiced, the tax on it, and what is the same one again.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

from ..foundation import checks, strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LINES = 500
MAX_QUANTITY = 999
MAX_NAME = 128

# Decimal places of the currencies that the shop takes (ISO 4217, "minor unit").
CURRENCIES = {"CHF": 2, "CZK": 2, "EUR": 2, "GBP": 2, "JPY": 0, "NOK": 2, "SEK": 2}
FIELDS = ("order_id", "customer_id", "country", "currency", "lines", "total", "requested_at")


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
    document = checks.fields(request, "The event", *FIELDS)
    checks.identifier(document["order_id"], "order_id")
    checks.identifier(document["customer_id"], "customer_id")
    checks.whole(document["requested_at"], "requested_at", 10**15)
    digits = CURRENCIES.get(checks.text(document["currency"], "currency", MAX_NAME))
    if digits is None:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    rate = vat_rates.get(checks.text(document["country"], "country", MAX_NAME))
    if rate is None:
        raise RefusedError("country", "There is no tax rate for this country.")
    lines = document["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_LINES:
        raise RefusedError("field", f"lines must be a list of 1 to {MAX_LINES}.")
    net = sum((_net(line, f"lines[{n}]", digits) for n, line in enumerate(lines)), Decimal())
    if checks.amount(document["total"], "total", digits) != net:
        raise RefusedError("total", "total is not the sum of the lines.")
    return Invoice(
        order_id=document["order_id"],
        document=document,
        net=net,
        vat_rate=Decimal(rate),
        vat=(net * Decimal(rate)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP),
        fingerprint=strict_json.fingerprint(document),
    )


def _net(line: Any, where: str, digits: int) -> Decimal:
    line = checks.fields(line, where, "sku", "name", "quantity", "unit_price")
    checks.identifier(line["sku"], f"{where}.sku")
    checks.text(line["name"], f"{where}.name", MAX_NAME)
    quantity = checks.whole(line["quantity"], f"{where}.quantity", MAX_QUANTITY)
    return checks.amount(line["unit_price"], f"{where}.unit_price", digits) * quantity


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
