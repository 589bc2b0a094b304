"""The consumer, and the other functions, with an account that they work in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.decoupled_messaging import customer, relay, sales
from tests import moto_cloud
from tests.lambdas.orders import stores_orders
from tests.lambdas.rest import request

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

ORDERS = "orders"
cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",), ORDERS: ("pk", "sk")},
    environment={
        "TABLE_NAME": moto_cloud.TABLE,
        "STATUS_TABLE_NAME": ORDERS,
        "DEADLINE_SECONDS": "900",
        "MAX_RECEIVE_COUNT": "5",
    },
)
CONSUMERS = {"sales": stores_orders(sales.handler, cloud)}


def ask(*args: Any, handler: Any = customer.handler, **named: Any) -> dict[str, Any]:
    answer: dict[str, Any] = handler(request(*args, **named), moto_cloud.Context())
    return answer


def send(cloud: Cloud, *records: dict[str, Any]) -> list[str]:
    """Hand changes to the relay; return the numbers of those that Lambda hands over again."""
    cloud.monkeypatch.setenv("QUEUE_URL", cloud.queue_url)
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.fifo_queue_url)
    answer = relay.handler({"Records": [*records]}, moto_cloud.Context())  # type: ignore[arg-type]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
