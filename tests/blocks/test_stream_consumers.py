"""A reader of a stream: no record blocks its shard for long, and what is given up is found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.stream_consumers import (
    StreamConsumer,
    StreamReader,
    StreamSource,
    source_of,
)
from tests.inline import function, granted, only, properties, rejected

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = {"pattern": "{}"}
DAY = 86_400


def seconds(count: int) -> Duration:
    return Duration.seconds(count)


def read(
    stack: Stack, *, retention: int = 7 * 24, reads: Any = None, **settings: Any
) -> StreamReader:
    stream = kinesis.Stream(stack, "Stream", retention_period=Duration.hours(retention))
    consumer = StreamConsumer(function=reads or function(stack), **settings)
    return StreamReader(
        stack, "Reader", source=source_of(stream), consumer=consumer, alarms=Alarms()
    )


def mapping(stack: Stack) -> dict[str, Any]:
    return only(Template.from_stack(stack), "AWS::Lambda::EventSourceMapping")


def test_a_record_that_fails_is_isolated_retried_and_given_up_by_default(stack: Stack) -> None:
    reader = read(stack)
    made = mapping(stack)
    assert made["BisectBatchOnFunctionError"] is True
    assert made["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (made["MaximumRetryAttempts"], made["MaximumRecordAgeInSeconds"]) == (10, DAY)
    assert made["StartingPosition"] == "TRIM_HORIZON"
    assert (made["BatchSize"], made["ParallelizationFactor"]) == (100, 1)
    sent_to = made["DestinationConfig"]["OnFailure"]["Destination"]
    assert sent_to == stack.resolve(reader.failure_queue.queue_arn)
    (queue,) = properties(stack, "SQS::Queue")
    assert queue["MessageRetentionPeriod"] == 14 * DAY


def test_every_setting_reaches_the_mapping(stack: Stack) -> None:
    read(
        stack,
        batch_size=500,
        max_batching_window=seconds(5),
        parallelization_factor=10,
        bisect_batch_on_error=False,
        retry_attempts=-1,
        max_record_age=seconds(3600),
        starting_position=datetime(2026, 11, 26, tzinfo=UTC),
        filters=[lambda_.FilterCriteria.filter({"data": {"kind": ["sale"]}})],
    )
    wanted = {
        "BatchSize": 500,
        "BisectBatchOnFunctionError": False,
        "FilterCriteria": {"Filters": [{"Pattern": '{"data":{"kind":["sale"]}}'}]},
        "MaximumBatchingWindowInSeconds": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 10,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": 1_795_651_200,
    }
    assert wanted.items() <= mapping(stack).items()


def test_a_tumbling_window_reaches_the_mapping(stack: Stack) -> None:
    read(stack, tumbling_window=seconds(60))
    assert mapping(stack)["TumblingWindowInSeconds"] == 60


def test_ten_filters_and_one_that_only_deployment_knows_are_no_mistake(stack: Stack) -> None:
    unknown = {"pattern": stack.to_json_string({"data": {"account": [stack.account]}})}
    read(stack, filters=[EVERY] * 9 + [unknown])
    assert len(mapping(stack)["FilterCriteria"]["Filters"]) == 10


def test_half_of_what_a_stream_keeps_is_left_to_fetch_failed_records_back(stack: Stack) -> None:
    read(stack, retention=24)
    assert mapping(stack)["MaximumRecordAgeInSeconds"] == DAY // 2


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be 1 to 10,000"),
        ({"max_batching_window": seconds(301)}, "max_batching_window is 301 s; it must be 0 to"),
        ({"parallelization_factor": 11}, "parallelization_factor is 11; it must be 1 to 10"),
        ({"retry_attempts": 10_001}, "retry_attempts is 10001; it must be -1 to 10,000"),
        ({"max_record_age": seconds(59)}, "max_record_age is 59 s; it must be 60 to 604,800 s"),
        ({"tumbling_window": seconds(901)}, "tumbling_window is 901 s; it must be 1 to 900 s"),
        ({"starting_position": lambda_.StartingPosition.LATEST}, "starts at LATEST: records that"),
        ({"starting_position": lambda_.StartingPosition.AT_TIMESTAMP}, "Give the time itself"),
        ({"starting_position": datetime(2026, 1, 1)}, "without a time zone"),
        (
            {"tumbling_window": seconds(60), "parallelization_factor": 2},
            "with a parallelization_factor of 2.*Leave one out",
        ),
        (
            {"filters": [{"data": {"a": ["b"]}}]},
            r"filters\[0\] is .*without a pattern. Make it with",
        ),
        ({"filters": [{"pattern": "orders"}]}, "has the pattern 'orders', which is no JSON object"),
        ({"filters": [{"pattern": "[]"}]}, "has the pattern '\\[\\]', which is no JSON object"),
        ({"filters": [EVERY, {"pattern": '{"a": ["b"]}'}]}, r"filters\[1\] filters by a, which no"),
        (
            {"filters": [EVERY] * 11},
            "filters has 11 patterns, but a mapping takes 10 at most, and 5",
        ),
        ({"max_record_age": Duration.days(7)}, "but Stack/Stream keeps it for 7 days"),
    ],
)
def test_a_setting_that_lambda_rejects_or_that_loses_records_is_rejected(
    settings: dict[str, Any], problem: str, stack: Stack
) -> None:
    with rejected(problem):
        read(stack, **settings)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda stack: sqs.Queue(stack, "Own", fifo=True), "FIFO queue.*Use a standard queue"),
        (lambda stack: function(stack, "Own"), "on_failure is a function.*standard queues"),
    ],
)
def test_a_destination_that_would_lose_failures_is_rejected(
    make: Callable[[Stack], Any], problem: str, stack: Stack
) -> None:
    with rejected(problem):
        read(stack, on_failure=make(stack))


def test_a_key_that_would_encrypt_nothing_is_rejected(stack: Stack) -> None:
    with rejected("no queue is new"):
        read(stack, on_failure=sqs.Queue(stack, "Own"), encryption_key=kms.Key(stack, "Key"))


def test_a_consumer_that_never_runs_is_rejected(stack: Stack) -> None:
    with rejected("reserves 0 concurrent executions.*its records expire"):
        read(stack, reads=function(stack, reserved_concurrent_executions=0))


def test_a_consumer_of_another_account_is_rejected() -> None:
    stack = Stack(App(), "Stack", env={"account": "111111111111", "region": "eu-west-1"})
    other = lambda_.Function.from_function_arn(
        stack, "Other", "arn:aws:lambda:eu-west-1:222222222222:function:theirs"
    )
    with rejected("The consumer Stack/Other is in account 222222222222, but the mapping"):
        read(stack, reads=other)


@pytest.mark.parametrize(
    ("kind", "action"),
    [(sqs.Queue, "sqs:SendMessage"), (sns.Topic, "sns:Publish"), (s3.Bucket, "s3:PutObject")],
)
def test_a_queue_topic_or_bucket_of_yours_takes_the_failures_and_raises_the_alarm(
    kind: Any, action: str, stack: Stack
) -> None:
    reader = read(stack, on_failure=kind(stack, "Own"))
    assert action in {name for name, _ in granted(Template.from_stack(stack), "Consumer")}
    metrics = {one["MetricName"] for one in properties(stack, "CloudWatch::Alarm")}
    assert "FailureAlarm" in {alarm.node.id for alarm in reader.alarms}
    if kind is sqs.Queue:
        assert "ApproximateNumberOfMessagesVisible" in metrics
        return
    assert "OnFailureDestinationDeliveredEventCount" in metrics
    assert mapping(stack)["MetricsConfig"] == {"Metrics": ["EventCount"]}
    with rejected("There is no failure queue: on_failure is Stack/Own"):
        _ = reader.failure_queue


def test_a_function_may_read_the_stream_and_report_failures_and_no_more(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    stream = kinesis.Stream(stack, "Stream", encryption_key=key)
    consumer = StreamConsumer(function=function(stack), encryption_key=key)
    StreamReader(stack, "Reader", source=source_of(stream), consumer=consumer, alarms=Alarms())
    reads = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator")
    allowed = granted(Template.from_stack(stack), "Consumer")
    assert allowed == {
        *((f"kinesis:{action}", "<Stream>") for action in (*reads, "ListShards")),
        ("sqs:SendMessage", "<ReaderFailures>"),
        ("kms:Decrypt", "<Key>"),
        ("kms:GenerateDataKey", "<Key>"),
    }


def test_enhanced_fan_out_gives_a_reader_its_own_throughput(stack: Stack) -> None:
    reader = read(stack, enhanced_fan_out=True)
    assert reader.stream_consumer
    arn = stack.resolve(reader.stream_consumer.stream_consumer_arn)
    assert mapping(stack)["EventSourceArn"] == arn
    template = Template.from_stack(stack)
    allowed = granted(template, "Consumer")
    assert ("kinesis:SubscribeToShard", "<ReaderFanOut>") in allowed
    only(template, "AWS::Kinesis::StreamConsumer")


@pytest.mark.parametrize(
    "setting",
    [{"enhanced_fan_out": True}, {"starting_position": datetime(2026, 11, 26, tzinfo=UTC)}],
)
def test_what_only_kinesis_has_is_rejected_for_the_stream_of_a_table(
    setting: dict[str, Any], stack: Stack
) -> None:
    table = StreamSource(stack, "arn", lambda _: pytest.fail("granted"), DAY)
    consumer = StreamConsumer(function=function(stack), **setting)
    with rejected("only Kinesis streams have them"):
        StreamReader(stack, "Reader", source=table, consumer=consumer, alarms=Alarms())


def test_whoever_replays_may_take_failures_fetch_records_and_run_the_function(
    stack: Stack,
) -> None:
    reader = read(stack)
    operator = function(stack, "Operator")
    reader.grant_replay(operator)
    actions = {action for action, _ in granted(Template.from_stack(stack), "Operator")}
    needed = {"sqs:DeleteMessage", "kinesis:GetRecords", "lambda:InvokeFunction"}
    assert needed <= actions


def test_a_reader_that_falls_behind_raises_an_alarm_before_records_are_lost(stack: Stack) -> None:
    read(stack)
    (alarm,) = [
        one for one in properties(stack, "CloudWatch::Alarm") if one["MetricName"] == "IteratorAge"
    ]
    assert (alarm["Threshold"], alarm["Statistic"], alarm["Namespace"]) == (
        900_000, "Maximum", "AWS/Lambda",
    )  # fmt: skip
