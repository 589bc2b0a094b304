"""How the contract suites make the construct, and a reader of its table's stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.dynamodb_streams_lambda.construct import (
    Alarms,
    DynamoDbStreamsToLambda,
    NewTable,
    StreamConsumer,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(
    stack: Stack,
    construct_id: str = "Pattern",
    *,
    consumer: Any = None,
    key: Any = None,
    alarms: Any = Alarms(),  # noqa: B008 - frozen
) -> DynamoDbStreamsToLambda:
    changes = DynamoDbStreamsToLambda(
        stack, construct_id, table=NewTable(encryption_key=key), alarms=alarms
    )
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    if key is not None:
        consumer = StreamConsumer(function=consumer, encryption_key=key)
    changes.add_consumer("Reader", consumer)
    return changes


BUILDS = [Build("dynamodb_streams_lambda", make, frozenset({"alarms", "readers"}))]
