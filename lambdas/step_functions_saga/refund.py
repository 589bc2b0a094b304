"""Refund an order, once, whether it was charged or not: afterwards it is not, and will not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import store
from .messages import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, str]:
    """Return ``refunded``."""
    outcome = store.refund(event["order_id"], event["customer_id"], int(event["amount"]))
    logger.info("Refund", order_id=event["order_id"], outcome=outcome)
    return {"outcome": outcome}
