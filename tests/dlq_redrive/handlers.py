"""The consumers, with an account that they work in."""

from __future__ import annotations

from functools import partial

from serverless_patterns.lambdas.dlq_redrive import customer_orders, orders, receipts
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.orders import order, stores_orders

cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",)},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)


def applied(cloud: moto_cloud.Cloud, number: int) -> list[int]:
    """Return the places of a customer's orders, by their places in the queue."""
    rows = [row for row in cloud.items() if row["customer_id"] == f"customer-{number}"]
    return [
        int(row["pk"].split("-")[-1]) for row in sorted(rows, key=lambda row: int(row["place"]))
    ]


CONSUMERS = {
    "orders": stores_orders(orders.handler, cloud),
    "customer_orders": stores_orders(
        customer_orders.handler,
        cloud,
        good=lambda number, place: order(
            order_id=f"ord-{number}-{place}", customer_id=f"customer-{number}"
        ),
        name=lambda number: f"customer-{number}",
        other=lambda number, place: order(
            order_id=f"ord-{number}-{place}", customer_id=f"customer-{number}", currency="USD"
        ),
        secrets=("Geheimnis", "49.90", "Bremsbelag"),
        applied=applied,
    ),
}
DELIVERED = {"receipts": Delivered(stores_orders(receipts.handler, cloud), Asynchronous)}
