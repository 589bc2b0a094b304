"""Lambda, invoked asynchronously → DynamoDB: an invoice for an order, issued once.

One event, one write. A failure that may pass is raised, so that Lambda retries the event, and
records it if that does not help. An event that no retry can help goes to the dead-letter queue at
once.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import dead_letters, logic, rendering, store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Issue the invoice; return what the record of success holds: status, and the invoice.

    Raises:
        StoreError: the table is unavailable; Lambda retries.
    """
    request_id = context.aws_request_id
    try:
        return issue(event, request_id)
    except RefusedError as error:
        dead_letters.send(event, error, request_id)
        logger.warning("Refused", reason=error.reason, detail=error.detail)
        return {"status": "refused", "reason": error.reason}
    except store.StoreError as error:
        logger.error("Not issued", order_id=event["order_id"], code=str(error))
        raise


def issue(event: Any, request_id: str) -> dict[str, str]:
    """Issue the invoice for an event, or find that it has been issued."""
    invoice = logic.make_invoice(event, json.loads(os.environ["VAT_RATES"]))
    text = rendering.render(invoice, float(os.environ.get("SECONDS_PER_LINE", "0")))
    stored = store.put_invoice(invoice, text, request_id)
    if stored not in (None, invoice.fingerprint):
        raise RefusedError("conflict", "The order has another invoice already.")
    status = "duplicate" if stored else "issued"
    logger.info("Invoice", status=status, number=invoice.number)
    return {
        "status": status,
        "number": invoice.number,
        "gross": str(invoice.gross),
        "currency": event["currency"],
    }
