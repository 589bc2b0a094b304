"""program → SQS or Scheduler: sends orders, each after a delay of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..foundation import checks, later
from ..foundation.logs import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Send ``orders``, each ``{"order": {…}, "delay_seconds": 3600, "group": "…"}``.

    Returns ``results``: what became of each, by its order's id. One that is ``unpublished`` may be
    sent again.

    Raises:
        RefusedError: it is no such event.
    """
    wanted = [_delayed(one) for one in checks.fields(event, "The event", "orders")["orders"]]
    result = later.send(wanted)
    logger.info("Sent", records=len(wanted), failed=len(wanted) - len(result.accepted))
    return {"results": {one.id: result.result(one.id) for one in wanted}}


def _delayed(given: Any) -> later.Delayed:
    found = checks.fields(given, "An order", "order", "delay_seconds", "group")
    id_ = checks.identifier(found["order"]["order_id"], "order_id")
    body = json.dumps(found["order"], ensure_ascii=False)
    return later.Delayed(id_, body, found["delay_seconds"], found["group"])
