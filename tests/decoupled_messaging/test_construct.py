"""The promises of the constructs beyond those of every API, queue, reader, alarm and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.blocks.tables import new_table
from serverless_patterns.patterns.decoupled_messaging.aurora import NewAurora, Relay
from serverless_patterns.patterns.decoupled_messaging.construct import (
    Consumer,
    Endpoint,
    NewQueue,
    StreamConsumer,
)
from tests.conftest import page_of
from tests.inline import function, granted, only, properties, rejected
from tools import runbook

from .builds import make, make_on_aurora

if TYPE_CHECKING:
    from collections.abc import Callable

VIEW = dynamodb.StreamViewType
BUILDS = (make, make_on_aurora)


def table(stack: Stack, *keys: str, **settings: Any) -> dynamodb.Table:
    return new_table(stack, "Own", *keys, removal_policy=RemovalPolicy.DESTROY, **settings)


def actions(stack: Stack, role: str) -> set[str]:
    return {action for action, _ in granted(Template.from_stack(stack), role)}


def test_the_front_cannot_send_and_the_relay_cannot_write(stack: Stack) -> None:
    """So no change of their code makes two writes of one."""
    make(stack)
    assert actions(stack, "PatternFront") == {"dynamodb:PutItem", "dynamodb:Query"}
    reads = {f"dynamodb:{verb}" for verb in ("DescribeStream", "GetRecords", "GetShardIterator")}
    relays = {action for action in actions(stack, "PatternRelay") if "Tracing" not in action}
    assert relays == {*reads, "dynamodb:ListStreams", "sqs:SendMessage"}


def test_the_relay_reads_orders_and_not_their_ends_from_the_first_until_they_are_too_old(
    stack: Stack,
) -> None:
    make(stack)
    (mapping,) = [
        one for one in properties(stack, "Lambda::EventSourceMapping") if "StartingPosition" in one
    ]
    (filtered,) = mapping["FilterCriteria"]["Filters"]
    assert '"sk":{"S":["job"]}' in filtered["Pattern"]
    assert '"eventName":["INSERT","MODIFY"]' in filtered["Pattern"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["MaximumRetryAttempts"] == -1, "an outage of the queue is waited for"
    assert mapping["MaximumRecordAgeInSeconds"] == 43_200, "half of what the stream keeps"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["DestinationConfig"]["OnFailure"]


def test_orders_are_kept_and_their_stream_has_what_is_sent(stack: Stack) -> None:
    made = make(stack)
    found = only(Template.from_stack(stack), "AWS::DynamoDB::Table")
    assert found["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert found["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "TimeToLiveSpecification" not in found
    assert "STATUS_SECONDS" not in made.environment


@pytest.mark.parametrize("build", BUILDS)
def test_each_function_is_told_what_it_needs_and_no_more(stack: Stack, build: Any) -> None:
    made = build(stack)
    where = {"CLUSTER_ARN", "SECRET_ARN", "DATABASE_NAME"} if build is make_on_aurora else set()
    assert made.environment.keys() == {"STATUS_TABLE_NAME", "DEADLINE_SECONDS", *where}
    assert made.relay_environment.keys() == {"QUEUE_URL", *where}
    assert made.report_environment.keys() == {"STATUS_TABLE_NAME"}
    assert actions(stack, "PatternConsumer") >= {"dynamodb:PutItem", "sqs:ReceiveMessage"}
    assert "dynamodb:Query" not in actions(stack, "PatternConsumer")


def test_your_own_table_queue_and_settings_are_used(stack: Stack) -> None:
    own = table(stack, "pk", "sk", stream=VIEW.NEW_AND_OLD_IMAGES)
    relay = StreamConsumer(function=function(stack, "MyRelay"), parallelization_factor=8)
    consumer = Consumer(function(stack, "MySales"), max_concurrency=3)
    endpoint = Endpoint("payments")
    made = make(stack, table=own, relay=relay, consumer=consumer, endpoint=endpoint)
    assert made.table is own
    mappings = properties(stack, "Lambda::EventSourceMapping")
    assert {8, 1} == {one.get("ParallelizationFactor", 1) for one in mappings}
    assert {"MaximumConcurrency": 3} in [one.get("ScalingConfig") for one in mappings]
    assert "payments" in [one["PathPart"] for one in properties(stack, "ApiGateway::Resource")]


def test_every_part_goes_off_before_an_order_is_lost(stack: Stack) -> None:
    for one, own in zip(BUILDS, (("IteratorAge", None), ("OutboxAge", "Invocations")), strict=True):
        it = Stack(App(), "Stack")
        one(it)
        found = {it.get("MetricName") for it in properties(it, "CloudWatch::Alarm")}
        of_queues = {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}
        assert found >= {*own, *of_queues, "5XXError", "Errors", "Throttles"}


def test_the_page_says_what_to_do_about_the_alarms_of_aurora(stack: Stack) -> None:
    make_on_aurora(stack)
    entries = runbook.section(dict(Template.from_stack(stack).to_json())).split("### ")
    page = page_of(catalog.find("decoupled_messaging"))
    assert [entry for entry in entries if entry.strip() not in page] == []


def test_statements_are_all_that_the_front_may_run_and_transactions_are_for_the_relay(
    stack: Stack,
) -> None:
    make_on_aurora(stack)
    found = actions(stack, "PatternFront")
    statement = {"rds-data:ExecuteStatement", "secretsmanager:GetSecretValue"}
    assert found == {"dynamodb:PutItem", "dynamodb:Query", *statement}
    ends = {f"rds-data:{verb}Transaction" for verb in ("Begin", "Commit", "Rollback")}
    assert actions(stack, "PatternRelay") == {*statement, *ends, "sqs:SendMessage"}


def test_the_relay_of_aurora_runs_every_minute_by_a_rule_that_alone_may_call_it(
    stack: Stack,
) -> None:
    made = make_on_aurora(stack)
    rule = only(Template.from_stack(stack), "AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    permissions = properties(stack, "Lambda::Permission")
    (of_rule,) = [one for one in permissions if one["Principal"] == "events.amazonaws.com"]
    assert stack.resolve(made.rule.rule_arn) == of_rule["SourceArn"]


def test_a_customer_managed_key_is_for_the_table_the_queues_and_who_uses_them(
    stack: Stack,
) -> None:
    make(stack, key=kms.Key(stack, "Key"))
    for role in ("Front", "Relay", "Consumer"):
        assert "kms:Decrypt" in actions(stack, f"Pattern{role}"), role
    queues = properties(stack, "SQS::Queue")
    assert [one for one in queues if "KmsMasterKeyId" not in one] == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (lambda it: {"queue": sqs.Queue(it, "Fifo", fifo=True)}, "Stack/Fifo is a FIFO queue"),
        (lambda it: {"table": table(it, "pk", "sk")}, "has no stream"),
        (lambda it: {"table": table(it, "id", "sk", stream=VIEW.NEW_IMAGE)}, "needs pk and sk"),
        (lambda it: {"table": table(it, "pk", "sk", stream=VIEW.KEYS_ONLY)}, "KEYS_ONLY"),
        (lambda it: {"relay": StreamConsumer(
            function=function(it, "R"), filters=[lambda_.FilterCriteria.filter({"a": ["b"]})])},
         "relay has filters, but what they leave out would never be sent"),
        (lambda it: {"front": function(it, "Off", reserved_concurrent_executions=0)}, "reserve"),
        (lambda _: {"deadline": Duration.seconds(0)}, "deadline is 0 s"),
        (lambda _: {"queue": NewQueue(delivery_delay=Duration.seconds(900))}, "queue delays jobs"),
        (lambda _: {"endpoint": Endpoint(content_types=["text/csv"])}, "accepts text/csv; a job"),
        (lambda _: {"table": NewAurora()}, "table"),
        (lambda _: {"relay": "relay"}, "relay"),
    ],
)  # fmt: skip
def test_what_would_lose_an_order_is_rejected(
    stack: Stack, given: Callable[[Stack], dict[str, Any]], problem: str
) -> None:
    with rejected(problem):
        make(stack, "Pattern", **given(stack))


def test_a_relay_that_comes_after_the_deadline_or_never_is_rejected(stack: Stack) -> None:
    late = Relay(function(stack, "Late"), every=Duration.minutes(15))
    with rejected("runs every 900 s, and an order fails for its client after 900 s"):
        make_on_aurora(stack, "After", relay=late)
    never = function(stack, "Never", reserved_concurrent_executions=0)
    with rejected("no order would be sent"):
        make_on_aurora(stack, "Off", relay=never)
    named = lambda_.Function.from_function_name(stack, "Named", "relay")
    with rejected("imported without its role"):
        make_on_aurora(stack, "Imported", relay=named)
