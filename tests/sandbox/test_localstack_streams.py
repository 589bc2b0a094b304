"""Readers of Kinesis streams on the second embedded AWS: with enhanced fan-out, and from a time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from serverless_patterns.patterns.kinesis_lambda.construct import (
    KinesisToLambda,
    NewStream,
    StreamConsumer,
)
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import ToStreamFunction
from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.queues import backlog, until
from tests.sandbox.helpers import create_stack, update_stack
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

# Fails, until it is told to be well, whatever begins with "bad"; logs each record with its source.
READER = """
import base64, os
def handler(event, context):
    for record in event["Records"]:
        data = base64.b64decode(record["kinesis"]["data"]).decode()
        if data.startswith("bad") and os.environ["WELL"] != "yes":
            raise ValueError(data)
        print("read", data, "of", record["eventSourceARN"])
"""


def built(name: str, **readers: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a stream with readers, each with its settings."""
    synthesizer = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    stack = Stack(App(), name, synthesizer=synthesizer)
    made = KinesisToLambda(stack, "Pattern", stream=NewStream(shard_count=2))
    outputs = {"StreamName": made.stream.stream_name}
    for reader, settings in readers.items():
        function = lambda_.Function(
            stack,
            f"{reader}Reads",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="index.handler",
            code=lambda_.Code.from_inline(READER),
            environment={"WELL": "no"},
        )
        added = made.add_consumer(reader, StreamConsumer(function=function, **settings))
        outputs[reader] = function.function_name
        outputs[f"{reader}FailureQueueUrl"] = added.failure_queue.queue_url
    for output, value in outputs.items():
        CfnOutput(stack, output, value=value)
    return dict(Template.from_stack(stack).to_json())


def put(stack: Deployment, *texts: str) -> None:
    kinesis = stack.client("kinesis")
    for text in texts:
        kinesis.put_record(StreamName=stack["StreamName"], Data=text.encode(), PartitionKey=text)


def read(stack: Deployment, reader: str) -> dict[str, str]:
    """Return what a reader has read, each with the ARN that it came from."""
    lines = stack.log_lines(stack[reader], limit=None)
    said = [line.split() for line in lines if line.startswith("read ")]
    return {data: source for _, data, _, source in said}


def test_a_reader_with_enhanced_fan_out_gets_every_record_and_what_it_gave_up_is_replayed(
    second: Target,
) -> None:
    settings = {"enhanced_fan_out": True, "retry_attempts": 1, "batch_size": 1}
    stack = create_stack(second, "fast", built("fast", Fast=settings))
    good = {f"record-{n}" for n in range(20)}
    put(stack, *good, "bad")
    until(lambda: read(stack, "Fast").keys() == good, seconds=60, what="until all are read")
    assert all("/consumer/" in source for source in read(stack, "Fast").values())
    url = stack["FastFailureQueueUrl"]
    until(lambda: backlog(stack, url) == 1, seconds=60, what="until the bad one is given up")

    outages.configure(stack, stack["Fast"], Environment={"Variables": {"WELL": "yes"}})
    way = ToStreamFunction(stack.client, stack["Fast"])
    replay = Redrive(way, 100)
    report = replay.run([Queue(stack.client("sqs"), url)])
    assert (way.records, report.accepted, report.kept) == (1, 1, {})
    until(lambda: "bad" in read(stack, "Fast"), seconds=60, what="until it is read")
    assert backlog(stack, url) == 0


def test_a_new_reader_that_starts_at_a_time_gets_the_records_from_then_on_and_no_older_one(
    second: Target,
) -> None:
    stack = create_stack(second, "again", built("again", First={}))
    put(stack, *(f"old-{n}" for n in range(8)))
    time.sleep(2.1)  # Lambda takes a time in whole seconds
    start = datetime.now(UTC).replace(microsecond=0)
    new = {f"new-{n}" for n in range(8)}
    put(stack, *new)
    until(lambda: len(read(stack, "First")) == 16, seconds=60, what="until the first has them")

    later = built("again", First={}, Replay={"starting_position": start})
    stack = update_stack(second, "again", later)
    until(lambda: len(read(stack, "Replay")) >= 8, seconds=60, what="until the new one has them")
    assert read(stack, "Replay").keys() == new
