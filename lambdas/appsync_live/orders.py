"""GET /orders?since=7: what has changed of the caller's own orders since the version it has."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..foundation import tables
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import logic

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

DIGITS = 15


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Answer a request of API Gateway's HTTP API, whose authorizer has verified the token.

    The answer has the newest state of each order that changed, and the version that the caller has
    then; ``more`` says to ask again from there.
    """
    customer = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    since = (event.get("queryStringParameters") or {}).get("since", "0")
    if not (since.isascii() and since.isdigit() and len(since) <= DIGITS):
        return _answer(400, {"message": "since must be a whole number from 0."})
    found = tables.client().query(
        TableName=os.environ["TABLE_NAME"],
        IndexName=os.environ["INDEX_NAME"],
        KeyConditionExpression="pk = :customer AND version > :since",
        ExpressionAttributeValues=tables.serialize({":customer": customer, ":since": int(since)}),
        ConsistentRead=True,  # an event is published after its write, so what it tells is here
    )
    orders, version = [], int(since)
    for item in found["Items"]:
        version = int(item["version"]["N"])  # in ascending order
        try:
            orders.append(logic.view(item))
        except RefusedError as error:  # the publisher has refused it, too: pass over it
            logger.warning("Unreadable", reason=error.reason, detail=error.detail)
    logger.info("Fetched", orders=len(orders))
    more = "LastEvaluatedKey" in found
    return _answer(200, {"version": version, "orders": orders, "more": more})


def _answer(status: int, body: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}
