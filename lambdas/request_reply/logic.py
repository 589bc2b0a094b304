"""What a part costs today, as a quote that binds the shop.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..foundation import checks
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from ..foundation.replies import Request

MAX_QUANTITY = 1_000
PRICES = {
    "BRK-PAD-F": "49.90", "OIL-FLT-3": "12.50", "WPR-24": "19.99", "SPK-NGK": "8.75",
    "BLT-ALT": "31.00", "CLT-KIT": "289.00", "TYR-205": "84.49", "MIR-L": "142.30",
}  # fmt: skip


@dataclass(frozen=True)
class Quote:
    """A quote; ``fingerprint`` tells the same request from another one under its id."""

    id: str
    fingerprint: str
    document: dict[str, Any]


def quote(request: Request) -> Quote:
    """Return the quote that a request asks for.

    Raises:
        RefusedError: it asks for no part of the shop, or not for a number of them.
    """
    asked = checks.fields(request.document, "The request", "sku", "quantity", "customer_id")
    checks.identifier(asked["customer_id"], "customer_id")
    quantity = checks.whole(asked["quantity"], "quantity", MAX_QUANTITY)
    price = PRICES.get(checks.identifier(asked["sku"], "sku"))
    if price is None:
        raise RefusedError("sku", "The shop has no part of this number.")
    total = f"{Decimal(price) * quantity}"
    document = asked | {"quote_id": request.to.id, "unit_price": price, "total": total}
    return Quote(request.to.id, request.fingerprint, document)
