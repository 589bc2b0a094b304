"""Lambda, invoked asynchronously → DynamoDB: an invoice for an order, issued once.

One event, one write. A failure that may pass is raised, so that Lambda retries the event and
records it if that does not help. An event that no retry can help is a dead letter at once.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from ..foundation import dead_letters
from ..foundation.logs import logger
from ..foundation.messages import Message
from ..foundation.outcomes import Outcome, RefusedError
from . import logic, rendering, store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Amazon SQS API reference, "SendMessage": characters that JSON may hold and a message may not.
_NOT_IN_A_MESSAGE = re.compile("[\ud800-\udfff\ufffe\uffff]")


class NotKeptError(Exception):
    """The dead-letter queue did not take a refused event; the message is the error's code."""


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Issue the invoice; return status and invoice, which the record of success holds.

    Raises:
        StoreError: the table is unavailable; Lambda retries.
        NotKeptError: the dead-letter queue is unavailable; Lambda retries.
    """
    request_id = context.aws_request_id
    try:
        answer = issue(event, request_id)
    except RefusedError as error:
        dead_letter(event, error, request_id)
        logger.warning("Refused", reason=error.reason, detail=error.detail)
        return {"status": "refused", "reason": error.reason}
    except store.StoreError as error:
        logger.error("Not issued", order_id=event["order_id"], code=str(error))
        raise
    logger.info("Invoice", status=answer["status"], number=answer["number"])
    return answer


def issue(event: Any, request_id: str) -> dict[str, str]:
    """Issue the invoice for an event, or find that it has been issued."""
    invoice = logic.make_invoice(event, json.loads(os.environ["VAT_RATES"]))
    text = rendering.render(invoice, float(os.environ.get("SECONDS_PER_LINE", "0")))
    stored = store.put_invoice(invoice, text, request_id)
    if stored not in (None, invoice.fingerprint):
        raise RefusedError("conflict", "The order has another invoice already.")
    return {
        "status": "duplicate" if stored else "issued",
        "number": invoice.number,
        "gross": str(invoice.gross),
        "currency": event["currency"],
    }


def dead_letter(event: Any, error: RefusedError, request_id: str) -> None:
    """Send an event as it came, with the reason.

    ``RequestID`` is the attribute that Lambda's own dead letters have (AWS Lambda developer guide,
    "Adding a dead-letter queue"), so the redrive reads both alike.
    """
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    letter = Message(
        id=request_id,
        body=json.dumps(event) if _NOT_IN_A_MESSAGE.search(body) else body,
        sent_at=0,
        receive_count=1,
        receipt_handle="",
        attributes={"RequestID": {"dataType": "String", "stringValue": request_id}},
    )
    failed = dead_letters.send([(letter, Outcome.refused(error))])
    if failed:
        raise NotKeptError(failed[request_id])
