"""How the contract suites make the blocks, which can be used alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.blocks.queues import SqsToLambda
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def sqs_to_lambda(stack: Stack, construct_id: str = "Block", **settings: Any) -> SqsToLambda:
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    return SqsToLambda(stack, construct_id, consumer=consumer, **settings)


BUILDS = [Build("blocks queue", sqs_to_lambda, frozenset({"queue", "consumer", "alarms"}))]
