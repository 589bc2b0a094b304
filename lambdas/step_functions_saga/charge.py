"""Charge an order, once. A declined card is an outcome; only technical failures raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation.logs import logger
from . import store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, str]:
    """Return ``charged``, ``declined``, or ``cancelled`` if it has been refunded already."""
    outcome = store.charge(event["order_id"], event["customer_id"], int(event["amount"]))
    logger.info("Charge", order_id=event["order_id"], outcome=outcome)
    return {"outcome": outcome}
