"""A valid order, and the consumer that stores it: two patterns have one."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.lambdas.consumers import Consumer


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a valid order; ``changes`` replace its fields."""
    pads = {"sku": "PAD", "name": "Bremsbelag 🚗", "quantity": 2, "unit_price": "49.90"}
    filters = {"sku": "OIL-FLT-3", "name": "Filtre à huile", "quantity": 1, "unit_price": "0.20"}
    return {
        "order_id": f"ord-{number}",
        "customer_id": "customer-7",
        "currency": "EUR",
        "lines": [pads, filters],
        "total": "100.00",
    } | changes


stores_orders = partial(
    Consumer,
    good=lambda number, _: order(number),
    name=lambda number: f"ord-{number}",
    bad=order(1, customer_id="Geheimnis!"),
    reason="field",
    work="TransactWriteItems",
    secrets=("Geheimnis", "customer-7", "49.90", "Bremsbelag"),
    other=lambda number, _: order(number, customer_id="customer-8"),
)
