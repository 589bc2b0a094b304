"""SNS, or an asynchronous call → DynamoDB: an order, for its receipt, stored once.

Every failure is raised, so that Lambda retries the event and then records it in the failure queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import orders, strict_json
from ..foundation.logs import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Store an order: the event itself, or the message of a topic in it.

    Raises:
        RefusedError: it is no valid order, or another one has its id.
        NotStoredError: the table is unavailable; Lambda retries.
    """
    if "Records" in event:
        event = strict_json.parse(event["Records"][0]["Sns"]["Message"])
    outcome = orders.store_one(orders.check(event), context.aws_request_id)
    logger.info("Receipt", outcome=outcome.kind)
    return {"status": outcome.kind}
