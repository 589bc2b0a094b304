"""program → SQS or Scheduler: sends orders, each after a delay of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..foundation import checks, later
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MAX_DELAY = 366 * 86_400  # seconds


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Send ``orders``, each ``{"order": {…}, "delay_seconds": 3600, "group": "…"}``.

    Returns ``results``: what became of each, by its order's id. One that is ``unpublished`` may be
    sent again.

    Raises:
        RefusedError: it is no such event.
    """
    orders = checks.fields(event, "The event", "orders")["orders"]
    if not isinstance(orders, list):
        raise RefusedError("field", "orders must be a list.")
    wanted = [_delayed(one) for one in orders]
    result = later.send(wanted)
    logger.info("Sent", records=len(wanted), failed=len(wanted) - len(result.accepted))
    return {"results": {one.id: result.result(one.id) for one in wanted}}


def _delayed(given: Any) -> later.Delayed:
    found = checks.fields(given, "An order", "order", "delay_seconds", "group")
    order, seconds, group = (found[name] for name in ("order", "delay_seconds", "group"))
    id_ = checks.identifier(order.get("order_id") if isinstance(order, dict) else "", "order_id")
    if seconds not in (None, 0):
        checks.whole(seconds, "delay_seconds", MAX_DELAY)
    if group is not None:
        checks.identifier(group, "group")
    return later.Delayed(id_, json.dumps(order, ensure_ascii=False), seconds, group)
