"""The consumer, with an account that it works in, and the limits that the publisher keeps to."""

from __future__ import annotations

from functools import partial

from serverless_patterns.lambdas.eventbridge_bus import orders
from serverless_patterns.patterns import limits
from tests import moto_cloud
from tests.lambdas.orders import stores_orders

cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",)},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}
LIMITS = {"publisher.MAX_ENTRIES": limits.EVENTS_BATCH_ENTRIES}
