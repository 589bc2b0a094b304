"""The consumer, and the front, with an account that they work in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.polling_status import front, orders
from tests import moto_cloud
from tests.lambdas.orders import stores_orders
from tests.lambdas.rest import request

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

STATUSES = "statuses"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:quote"
cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",), STATUSES: ("pk", "sk")},
    environment={
        "TABLE_NAME": moto_cloud.TABLE,
        "STATUS_TABLE_NAME": STATUSES,
        "STATUS_SECONDS": "604800",
        "DEADLINE_SECONDS": "900",
        "MAX_RECEIVE_COUNT": "5",
    },
)
CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}


def ask(cloud: Cloud, *args: Any, work: str = "", **named: Any) -> dict[str, Any]:
    given = ("STATE_MACHINE_ARN", work) if work else ("QUEUE_URL", cloud.queue_url)
    cloud.monkeypatch.setenv(*given)
    answer: dict[str, Any] = front.handler(request(*args, **named), moto_cloud.Context())  # type: ignore[arg-type]
    return answer
