"""Invoked by the web shop → EventBridge: orders are checked against their schema, then published.

The caller waits for the answer, and sends what is unpublished again.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from ..foundation import aws, buses, checks, orders
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ..foundation.publishing import Published

SOURCE = "shop.orders"
ORDER_PLACED = "OrderPlaced"
SERVICES = ("express", "standard")


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Publish ``event["orders"]``; return the result of each in this order, below ``results``.

    A result has a ``status`` (``published``, ``refused``, ``unpublished``), and a ``reason`` unless
    it is published.
    """
    read = [_read(str(number), detail) for number, detail in enumerate(event["orders"])]
    published = buses.publish(
        aws.client("events"),
        os.environ["EVENT_BUS_NAME"],
        [one for one in read if isinstance(one, buses.Event)],
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    results = [_result(one, published) for one in read]
    counts: dict[str, Any] = Counter(result["status"] for result in results)
    logger.info("Published", **counts)
    return {"results": results}


def event_of(id_: str, detail: Any) -> buses.Event:
    """Return an order, with how it is to be sent, as an event.

    Raises:
        RefusedError: it breaks the schema of ``OrderPlaced``, so no consumer could process it.
    """
    checks.fields(detail, "detail", "service", "order")
    if detail["service"] not in SERVICES:
        raise RefusedError("field", f"service must be {' or '.join(SERVICES)}.")
    orders.check(detail["order"])
    return buses.Event(id_, SOURCE, ORDER_PLACED, detail)


def _read(id_: str, detail: Any) -> buses.Event | str:
    try:
        return event_of(id_, detail)
    except RefusedError as error:
        return error.reason


def _result(one: buses.Event | str, published: Published) -> dict[str, str]:
    if isinstance(one, str):
        return {"status": "refused", "reason": one}
    return published.result(one.id)
