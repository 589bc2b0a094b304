"""Lambda, invoked by a rule → DynamoDB: an express order, stored once.

One event, one write. Every failure is raised, so that Lambda retries the event and then records it
in the failure queue with its reason.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import orders, tables
from ..foundation.logs import logger
from ..foundation.outcomes import CONFLICT, STORED, Outcome, RefusedError, compare

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotStoredError(Exception):
    """The table did not take the order; the message is the error's code."""


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Store the order that the rule hands over; return whether it is new.

    Raises:
        RefusedError: it is no valid order, or another one has its id.
        NotStoredError: the table is unavailable; Lambda retries.
    """
    order = orders.check(event)
    outcome = _outcome(
        order, orders.put_in(os.environ["TABLE_NAME"], {order.id: (order, context.aws_request_id)})
    )
    logger.info("Order", outcome=outcome.kind)
    if outcome is CONFLICT:
        raise RefusedError(outcome.reason, outcome.detail)
    return {"status": outcome.kind}


def _outcome(order: orders.Order, puts: tables.Puts) -> Outcome:
    if order.id in puts.failed:
        raise NotStoredError(puts.failed[order.id])
    if order.id in puts.found:
        return compare(order.fingerprint, tables.fingerprint(puts.found[order.id]))
    return STORED
