"""What the examples share: the currencies of the shop, and the lines of an order.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import checks
from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Decimal places (ISO 4217, "minor unit").
CURRENCIES = {
    "BHD": 3, "CAD": 2, "CHF": 2, "CZK": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3, "NOK": 2,
    "PLN": 2, "SEK": 2, "USD": 2,
}  # fmt: skip
MAX_QUANTITY = 999
MAX_NAME = 128


def digits(currency: Any) -> int:
    """Return the decimal places of a currency.

    Raises:
        RefusedError: the shop does not have it.
    """
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    return CURRENCIES[currency]


def total(order: Mapping[str, Any], most_lines: int) -> Decimal:
    """Check an order's lines and return their sum, which must be its ``total``.

    Raises:
        RefusedError: a line is not valid, or the sum is another.
    """
    places = digits(order["currency"])
    lines = order["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= most_lines:
        raise RefusedError("field", f"lines must be a list of 1 to {most_lines}.")
    found = sum((_line(line, f"lines[{n}]", places) for n, line in enumerate(lines)), Decimal())
    if checks.amount(order["total"], "total", places) != found:
        raise RefusedError("total", "total is not the sum of the lines.")
    return found


def _line(line: Any, where: str, places: int) -> Decimal:
    line = checks.fields(line, where, "sku", "name", "quantity", "unit_price")
    checks.identifier(line["sku"], f"{where}.sku")
    checks.text(line["name"], f"{where}.name", MAX_NAME)
    quantity = checks.whole(line["quantity"], f"{where}.quantity", MAX_QUANTITY)
    return checks.amount(line["unit_price"], f"{where}.unit_price", places) * quantity
