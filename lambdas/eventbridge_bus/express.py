"""Lambda, invoked by a rule → DynamoDB: an express order, stored once.

One event, one write. Every failure is raised, so that Lambda retries the event and then records it
in the failure queue with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import orders
from ..foundation.logs import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Store the order that the rule hands over; return whether it is new.

    Raises:
        RefusedError: it is no valid order, or another one has its id.
        NotStoredError: the table is unavailable; Lambda retries.
    """
    outcome = orders.store_one(orders.check(event), context.aws_request_id)
    logger.info("Order", outcome=outcome.kind)
    return {"status": outcome.kind}
