"""The consumer, and the orders that it is tried with."""

from __future__ import annotations

from functools import partial
from typing import Any

from serverless_patterns.lambdas.sns_fanout import orders
from tests import moto_cloud
from tests.lambdas.consumers import Consumer


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a valid order; ``changes`` replace its fields."""
    line = {"sku": "PAD", "name": "Bremsbelag 🚗", "quantity": 2, "unit_price": "49.90"}
    return {
        "order_id": f"ord-{number}",
        "customer_id": "customer-7",
        "currency": "EUR",
        "lines": [line],
        "total": "99.80",
    } | changes


cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",)},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
CONSUMERS = {
    "orders": Consumer(
        orders.handler,
        cloud,
        good=lambda number, _: order(number),
        name=lambda number: f"ord-{number}",
        bad=order(1, customer_id="Geheimnis!"),
        reason="field",
        work="TransactWriteItems",
        secrets=("Geheimnis", "customer-7", "49.90", "Bremsbelag"),
    ),
}
