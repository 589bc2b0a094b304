"""The consumer of failed events, with an account that it works in."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from serverless_patterns.lambdas.async_lambda import again, invoices
from tests import moto_cloud
from tests.async_lambda.conftest import ENVIRONMENT, request
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.consumers import Consumer

CONSUMERS = {
    "again": Consumer(
        again.handler,
        partial(
            moto_cloud.cloud, tables={moto_cloud.TABLE: ("pk",)}, environment=dict(ENVIRONMENT)
        ),
        good=lambda number, _: request(number),
        name=lambda number: f"order-{number}",
        bad=request(total="0.01"),
        other=lambda number, _: request(number, country="SE"),
        reason="total",
        work="PutItem",
        secrets=("customer-1", "Bremsbelag", "24.95"),
    )
}
DELIVERED = {
    "invoices": Delivered(replace(CONSUMERS["again"], handler=invoices.handler), Asynchronous)
}
