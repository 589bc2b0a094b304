"""The consumer, and the other functions, with an account that they work in."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.decoupled_messaging import customer, relay, sales
from tests import moto_cloud
from tests.lambdas.orders import stores_orders
from tests.lambdas.rest import request
from tests.moto_cloud import client

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

ORDERS = "orders"
STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-27T10:00:00.000"
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
_numbers = count(10**23)


def ask(*args: Any, handler: Any = customer.handler, **named: Any) -> dict[str, Any]:
    """Ask the front as API Gateway does."""
    answer: dict[str, Any] = handler(request(*args, **named), moto_cloud.Context())
    return answer


def post(body: str, key: str = "order-1", **named: Any) -> dict[str, Any]:
    return ask("POST", "orders", body, Idempotency_Key=key, **named)


def get(key: str = "order-1", **named: Any) -> dict[str, Any]:
    return ask("GET", f"orders/{key}", **named)


def change(item: dict[str, Any], kind: str = "INSERT") -> dict[str, Any]:
    """Return the record of the stream that says that an item is written."""
    keys = {name: item[name] for name in ("pk", "sk")}
    said = {"Keys": keys, "NewImage": item, "SequenceNumber": str(next(_numbers))}
    return {"eventName": kind, "eventSourceARN": STREAM, "dynamodb": said}


def changes() -> list[dict[str, Any]]:
    """Return a change for each item of the orders' table."""
    return [change(item) for item in client("dynamodb").scan(TableName=ORDERS)["Items"]]


def send(cloud: Cloud, *records: dict[str, Any], url: str = "") -> list[str]:
    """Hand changes to the relay; return the numbers from which Lambda hands them over again."""
    cloud.monkeypatch.setenv("QUEUE_URL", url or cloud.queue_url)
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
    answer = relay.handler({"Records": [*records]}, moto_cloud.Context())  # type: ignore[arg-type]
    return [str(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]]
