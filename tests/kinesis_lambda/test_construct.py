"""The promises of the construct beyond those of every reader, stream and alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk.assertions import Template

from serverless_patterns.patterns.kinesis_lambda.construct import (
    Alarms,
    KinesisToLambda,
    NewStream,
)
from tests.inline import function, granted, properties, rejected

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_reader_has_its_own_place_failure_queue_and_alarms(stack: Stack) -> None:
    movements = KinesisToLambda(stack, "Movements")
    for name in ("Stock", "Sales"):
        movements.add_consumer(name, function(stack, name))
    assert len(properties(stack, "Lambda::EventSourceMapping")) == 2
    assert len(properties(stack, "SQS::Queue")) == 2
    assert len(properties(stack, "CloudWatch::Alarm")) == 4 + 2 * 5
    assert [reader.node.id for reader in movements.consumers] == ["Stock", "Sales"]


def test_your_own_stream_is_read_from_its_oldest_record(stack: Stack) -> None:
    own = kinesis.Stream(stack, "Own", retention_period=Duration.hours(24))
    movements = KinesisToLambda(stack, "Movements", stream=own)
    movements.add_consumer("Stock", function(stack))
    assert movements.stream is own
    [made] = properties(stack, "Lambda::EventSourceMapping")
    assert made["EventSourceArn"] == stack.resolve(own.stream_arn)
    assert (made["StartingPosition"], made["MaximumRecordAgeInSeconds"]) == ("TRIM_HORIZON", 43_200)


def test_a_producer_may_put_records_and_no_more(stack: Stack) -> None:
    KinesisToLambda(stack, "Movements").grant_write(function(stack, "Producer"))
    actions = {action for action, _ in granted(Template.from_stack(stack), "Producer")}
    assert actions == {"kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords"}


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (lambda _: "stream", "; it must be of type IStream"),
        (
            lambda stack: kinesis.Stream.from_stream_arn(
                stack, "Other", "arn:aws:kinesis:eu-west-1:222222222222:stream/other"
            ),
            "is in account 222222222222, but a reader is made beside its stream",
        ),
    ],
)
def test_a_stream_that_cannot_be_read_here_is_rejected(
    stream: Callable[[Stack], Any], problem: str
) -> None:
    stack = Stack(App(), "Stack", env={"account": "111111111111", "region": "eu-west-1"})
    with rejected(problem):
        KinesisToLambda(stack, "Movements", stream=stream(stack))


def test_an_alarm_that_goes_off_when_records_are_gone_is_rejected(stack: Stack) -> None:
    with rejected("max_age is 7 days.*gone before the alarm"):
        KinesisToLambda(
            stack, "Movements", stream=NewStream(), alarms=Alarms(max_age=Duration.days(7))
        )


def test_the_lag_of_the_slowest_reader_and_of_each_is_a_metric(stack: Stack) -> None:
    movements = KinesisToLambda(stack, "Movements")
    reader = movements.add_consumer("Stock", function(stack))
    assert movements.metric_iterator_age().metric_name == "GetRecords.IteratorAgeMilliseconds"
    assert reader.metric_iterator_age().metric_name == "IteratorAge"
