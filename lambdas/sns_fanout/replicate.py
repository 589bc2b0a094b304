"""Lambda, invoked by a topic → SNS: an order for the tests, without what is about a person.

One event, one call. Every failure is raised, so that Lambda retries the event and then records it
in the failure queue with its reason. What is published twice is one order to who stores it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..foundation import aws, strict_json
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

# Only these are replicated: a field that somebody adds to orders stays behind until it is here.
OF_ORDERS = ("order_id", "currency", "total")
OF_LINES = ("sku", "name", "quantity", "unit_price")
NOBODY = "somebody"  # is every customer in the tests


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Publish the order of each notification to the topic of the tests.

    Raises:
        RefusedError: it is no order.
        ClientError: SNS did not take it; Lambda retries.
    """
    for record in event["Records"]:
        text = json.dumps(without_person(record["Sns"]["Message"]), ensure_ascii=False)
        aws.client("sns").publish(TopicArn=os.environ["TOPIC_ARN"], Message=text)
    logger.info("Replicated", orders=len(event["Records"]))


def without_person(text: str) -> dict[str, Any]:
    """Return an order with nothing in it that is about a person.

    Raises:
        RefusedError: it is not JSON, or has no lines.
    """
    order = strict_json.parse(text)
    lines = order.get("lines") if isinstance(order, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise RefusedError("field", "order must be an object with lines.")
    kept = {name: order[name] for name in OF_ORDERS if name in order}
    kept["lines"] = [{name: line[name] for name in OF_LINES if name in line} for line in lines]
    return kept | {"customer_id": NOBODY}
