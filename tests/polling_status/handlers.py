"""The consumer, and the front, with an account that they work in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.polling_status import front, orders
from tests import moto_cloud
from tests.lambdas.orders import stores_orders

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


def request(
    method: str,
    path: str,
    body: str = "",
    *,
    who: str = "AROACUSTOMER:session",
    context: dict[str, Any] | None = None,
    **headers: str,
) -> dict[str, Any]:
    """Return a request as API Gateway's proxy integration says it."""
    parts = path.split("/")
    return {
        "httpMethod": method,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "pathParameters": {"id": parts[1]} if len(parts) > 1 else None,
        "body": body or None,
        "requestContext": {"path": f"/prod/{path}", "identity": {"caller": who}} | (context or {}),
    }


def ask(cloud: Cloud, *args: Any, work: str = "", **named: Any) -> dict[str, Any]:
    """Call the front, of a queue or of this state machine; return its answer."""
    if work:
        cloud.monkeypatch.setenv("STATE_MACHINE_ARN", work)
    else:
        cloud.monkeypatch.setenv("QUEUE_URL", cloud.queue_url)
    answer: dict[str, Any] = front.handler(request(*args, **named), moto_cloud.Context())  # type: ignore[arg-type]
    return answer
