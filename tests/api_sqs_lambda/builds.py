"""How the contract suites make the construct."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.api_sqs_lambda.construct import (
    ApiGatewayToSqsToLambda,
    NewQueue,
    RequestField,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> ApiGatewayToSqsToLambda:
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    return ApiGatewayToSqsToLambda(stack, construct_id, consumer=consumer, **settings)


make_fifo = partial(make, queue=NewQueue(fifo=True), message_group_id=RequestField.body("order_id"))
TAKES = frozenset({"queue", "consumer", "endpoint", "mapping", "any body", "alarms"})
BUILDS = [
    Build("api_sqs_lambda", make, TAKES),
    Build("api_sqs_lambda fifo", make_fifo, frozenset({"consumer", "mapping", "alarms"})),
]
