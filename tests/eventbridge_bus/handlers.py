"""The consumer, with an account that it works in."""

from __future__ import annotations

from functools import partial

from serverless_patterns.lambdas.eventbridge_bus import express, orders
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.orders import stores_orders

cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",)},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}
DELIVERED = {"express": Delivered(stores_orders(express.handler, cloud), Asynchronous)}
