"""The rules of an invoice: what can be invoiced, the tax on it, and what is the same one again.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop, strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LINES = 500
FIELDS = ("order_id", "customer_id", "country", "currency", "lines", "total", "requested_at")


@dataclass(frozen=True)
class Invoice:
    """An invoice to be issued.

    Args:
        order_id: The order that it is for; an order has one invoice.
        document: The order, as requested.
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
    order = checks.fields(request, "The event", *FIELDS)
    checks.identifier(order["order_id"], "order_id")
    checks.identifier(order["customer_id"], "customer_id")
    checks.whole(order["requested_at"], "requested_at", 10**15)
    net = shop.total(order, MAX_LINES)
    found = vat_rates.get(checks.text(order["country"], "country", shop.MAX_NAME))
    if found is None:
        raise RefusedError("country", "There is no tax rate for this country.")
    rate, unit = Decimal(found), Decimal(1).scaleb(-shop.digits(order["currency"]))
    return Invoice(
        order_id=order["order_id"],
        document=order,
        net=net,
        vat_rate=rate,
        vat=(net * rate).quantize(unit, ROUND_HALF_UP),
        fingerprint=strict_json.fingerprint(order),
    )
