"""SNS, or an asynchronous call → DynamoDB: an order, for its receipt, stored once.

Every failure is raised, so that Lambda retries the event and then records it in the failure queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import orders, strict_json
from ..foundation.logs import logger
from . import store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotStoredError(Exception):
    """The table did not take the order; it says why."""


@logger.inject_lambda_context
def handler(event: Any, _: LambdaContext) -> dict[str, str]:
    """Store an order: the event itself, or the message of a topic in it.

    Raises:
        RefusedError: it is no valid order.
        NotStoredError: the table is unavailable; Lambda retries.
    """
    if "Records" in event:
        event = strict_json.parse(event["Records"][0]["Sns"]["Message"])
    order = orders.check(event)
    puts = store.put_one(order)
    if order.id in puts.failed:
        raise NotStoredError(puts.failed[order.id])
    status = "duplicate" if order.id in puts.found else "stored"
    logger.info("Receipt", outcome=status)
    return {"status": status}
