"""Lambda, invoked asynchronously → DynamoDB: an invoice for an order, issued once.

One event, one write. What fails for now is raised, so that Lambda tries the event again and
records it when that does not help. What no retry can mend goes to the dead-letter queue at once.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from ..foundation.outcomes import RefusedError
from . import dead_letters, logic, rendering, store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Ids, sums and reasons only: no customer and no part ever gets into a log line.
logger = Logger()


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Issue the invoice; return what the record of success tells: status, and the invoice.

    Raises:
        StoreError: the table is not there for us; Lambda tries again.
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
    stored = store.put_invoice(invoice, text, request_id, issued_at=time.time_ns() // 10**6)
    status = "issued" if stored is None else logic.compare(invoice, stored)
    logger.info("Invoice", status=status, number=invoice.number)
    return {
        "status": status,
        "number": invoice.number,
        "gross": str(invoice.gross),
        "currency": event["currency"],
    }
