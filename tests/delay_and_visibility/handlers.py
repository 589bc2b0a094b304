"""The consumer, with an account that it works in."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from serverless_patterns.lambdas.delay_and_visibility import orders
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import FifoQueue
from tests.lambdas.orders import order, stores_orders

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

DELAYS = {"first": 30, "factor": 2, "longest": 3600}


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[moto_cloud.Cloud]:
    """An account whose queues hide messages."""
    tables = {moto_cloud.TABLE: ("pk",)}
    environment = {"TABLE_NAME": moto_cloud.TABLE, "BACKOFF": json.dumps(DELAYS)}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment) as made:
        monkeypatch.setenv("QUEUE_URL", made.queue_url)
        yield made


def applied(cloud: moto_cloud.Cloud, number: int) -> list[int]:
    """Return the places of a group's orders, in the order in which they took effect."""
    found = [key.split("-") for key in cloud.stored()]
    return [int(place) for _, group, place in found if group == str(number)]


CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}
DELIVERED = {
    "orders in order": Delivered(
        stores_orders(
            orders.handler,
            cloud,
            good=lambda number, place: order(order_id=f"ord-{number}-{place}"),
            other=lambda number, place: order(order_id=f"ord-{number}-{place}", customer_id="c-8"),
            applied=applied,
            untried="the table does not say in which order",
        ),
        partial(FifoQueue, batch=1),
    )
}
