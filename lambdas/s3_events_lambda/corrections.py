"""Lambda, invoked by S3 → S3, DynamoDB: a correction of prices, read at once.

One object, one call. Every failure is raised, so that Lambda retries the event and then records it
in the failure queue with its reason.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import objects
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import logic, price_lists

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotReadError(Exception):
    """S3 or the table did not answer; the message is the error's code."""


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Read what the notification is about, as a price list; return what became of it.

    Raises:
        RefusedError: it is no notification of the bucket, or no price list.
        NotReadError: see there; Lambda retries.
    """
    said = objects.events_in(event, os.environ["BUCKET_NAME"])
    outcome = logic.together(map(price_lists.read(said), said))
    logger.info("Correction", outcome=outcome.kind, reason=outcome.reason)
    if outcome.kind == "refused":
        raise RefusedError(outcome.reason, outcome.detail)
    if outcome.kind == "failed":
        raise NotReadError(outcome.reason)
    return {"status": outcome.kind}
