"""How the contract suites make the construct, and a reader of its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.kinesis_lambda.construct import (
    Alarms,
    KinesisToLambda,
    NewStream,
    StreamConsumer,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.stream_consumers import StreamReader


def make(stack: Stack, construct_id: str = "Pattern", **given: Any) -> KinesisToLambda:
    stream = KinesisToLambda(stack, construct_id, **given)
    stream.add_consumer("Reader", function(stack, f"{construct_id}Consumer"))
    return stream


def make_reader(
    stack: Stack,
    construct_id: str = "Pattern",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
    **settings: Any,
) -> StreamReader:
    stream = KinesisToLambda(stack, construct_id, stream=NewStream(shard_count=1), alarms=alarms)
    consumer = StreamConsumer(function=function(stack, f"{construct_id}Consumer"), **settings)
    return stream.add_consumer("Reader", consumer)


BUILDS = [
    Build("kinesis_lambda", make, frozenset({"alarms", "readers"})),
    Build("kinesis_lambda reader", make_reader, frozenset({"alarms"})),
]
