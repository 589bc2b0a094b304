"""What every construct with a consumed queue promises of the queue and its consumer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.consumers import Consumer
from serverless_patterns.patterns.blocks.queues import NewQueue
from tests.contracts.builds import Build, every_build, resources_of
from tests.inline import function, properties, warned

ARN = "arn:aws:sqs:us-east-1:111111111111:theirs"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:111111111111:function:theirs"


def source(stack: Stack) -> dict[str, Any]:
    """The properties of the queue with a dead-letter queue."""
    (found,) = [queue for queue in properties(stack, "SQS::Queue") if "RedrivePolicy" in queue]
    return found


def own_queue(stack: Stack, **settings: Any) -> sqs.Queue:
    kept = sqs.Queue(stack, "OwnDlq", retention_period=Duration.days(14))
    dead_letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    defaults: dict[str, Any] = {
        "visibility_timeout": Duration.seconds(60),
        "dead_letter_queue": dead_letters,
    }
    return sqs.Queue(stack, "Own", **defaults | settings)


def imported_function(stack: Stack) -> lambda_.IFunction:
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/consumer")
    return lambda_.Function.from_function_attributes(
        stack, "Theirs", function_arn=FUNCTION_ARN, role=role, same_environment=True
    )


@every_build("queue")
def test_a_queue_of_your_own_is_used_as_it_is(build: Build, stack: Stack) -> None:
    queue = own_queue(stack)
    made = build.make(stack, "Pattern", queue=queue)
    assert made.queue is queue
    assert made.dead_letter_queue.node.path == "Stack/OwnDlq"
    ids = {child.node.id for child in stack.node.find_all() if isinstance(child, sqs.Queue)}
    assert not ids & {"Queue", "DeadLetterQueue"}


@every_build("queue")
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"dead_letter_queue": None}, "Stack/Own has no dead-letter queue"),
        ({"visibility_timeout": Duration.seconds(59)}, r"Stack/Own hides .*59 s.*needs 60 s"),
        ({"visibility_timeout": None}, "hides a message for 30 s"),
        ({"retention_period": Duration.days(14)}, "keeps its original enqueue time"),
        ({"retention_period": Duration.minutes(5)}, "deleted before it is dead-lettered"),
    ],
    ids=["no-dlq", "visibility", "default-visibility", "retention", "expires"],
)
def test_a_queue_of_your_own_that_loses_messages_is_rejected(
    build: Build, stack: Stack, settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        build.make(stack, "Pattern", queue=own_queue(stack, **settings))


@every_build("queue")
def test_an_imported_queue_is_used_with_a_warning_of_what_it_needs(
    build: Build, stack: Stack
) -> None:
    made = build.make(stack, "Pattern", queue=sqs.Queue.from_queue_arn(stack, "Theirs", ARN))
    told = "longer retention period.*no alarm here.*at least 5, .*timeout of at least 60 s.*key_arn"
    warned(stack, told)
    with pytest.raises(ValueError, match="imported"):
        made.metric_dead_letters()


@every_build("queue")
def test_the_settings_of_a_new_queue_reach_it(build: Build, stack: Stack) -> None:
    settings = NewQueue(
        retention_period=Duration.days(13),
        visibility_timeout=Duration.minutes(2),
        max_receive_count=7,
    )
    build.make(stack, "Pattern", queue=settings)
    queue = source(stack)
    assert queue["MessageRetentionPeriod"] == 13 * 86_400
    assert queue["VisibilityTimeout"] == 120
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 7


@every_build("queue")
def test_a_new_queue_dead_letters_after_five_receives(build: Build) -> None:
    sources = [one for one in resources_of(build, "SQS::Queue") if "RedrivePolicy" in one]
    assert [one["RedrivePolicy"]["maxReceiveCount"] for one in sources] == [5]


@every_build("queue", "consumer")
def test_a_customer_key_encrypts_both_queues_and_the_consumer_may_decrypt(
    build: Build, stack: Stack
) -> None:
    key, consumer = kms.Key(stack, "Key"), function(stack)
    build.make(stack, "Pattern", queue=NewQueue(encryption_key=key), consumer=consumer)
    template, arn = Template.from_stack(stack), stack.resolve(key.key_arn)
    queues = {"Properties": {"KmsMasterKeyId": arn}}
    assert len(template.find_resources("AWS::SQS::Queue", queues)) >= 2
    decrypt = {"Action": "kms:Decrypt", "Effect": "Allow", "Resource": arn}
    assert consumer.role
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {"Statement": Match.array_with([decrypt])},
            "Roles": [stack.resolve(consumer.role.role_name)],
        },
    )


@every_build("consumer")
def test_the_visibility_timeout_follows_the_function_behind_an_alias(
    build: Build, stack: Stack
) -> None:
    alias = function(stack, timeout=Duration.seconds(20)).add_alias("live")
    build.make(stack, "Pattern", consumer=alias)
    assert source(stack)["VisibilityTimeout"] == 6 * 20
    (mapping,) = properties(stack, "Lambda::EventSourceMapping")
    assert ":live" in json.dumps(mapping["FunctionName"])


@every_build("consumer")
def test_the_settings_of_a_consumer_reach_its_mapping(build: Build, stack: Stack) -> None:
    build.make(
        stack, "Pattern", consumer=Consumer(function(stack), batch_size=3, max_concurrency=7)
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {"BatchSize": 3, "ScalingConfig": {"MaximumConcurrency": 7}},
    )


@every_build("queue", "consumer")
def test_an_imported_consumer_needs_a_visibility_timeout(build: Build, stack: Stack) -> None:
    consumer = imported_function(stack)
    with pytest.raises(ValueError, match="imported, so its timeout is not known"):
        build.make(stack, "Pattern", consumer=consumer)
    queue = NewQueue(visibility_timeout=Duration.minutes(3))
    build.make(stack, "Given", consumer=consumer, queue=queue)
    warned(stack, "at most 30 s.*at least 10")


@every_build("consumer")
def test_a_consumer_that_may_run_less_than_it_is_called_is_rejected(
    build: Build, stack: Stack
) -> None:
    consumer = function(stack, reserved_concurrent_executions=9)
    with pytest.raises(ValueError, match="reserves only 9"):
        build.make(stack, "Pattern", consumer=Consumer(consumer, max_concurrency=10))


@every_build("queue", "alarms")
def test_the_oldest_message_raises_an_alarm_before_it_is_gone(build: Build, stack: Stack) -> None:
    settings = NewQueue(retention_period=Duration.minutes(10))
    made = build.make(stack, "Pattern", queue=settings)
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": stack.resolve(made.queue.queue_name)}],
            "Threshold": 300,
            "EvaluationPeriods": 15,
        },
    )
    late = Alarms(max_age=Duration.minutes(10))
    with pytest.raises(ValueError, match=r"max_age is 10 minutes.*for 10 minutes"):
        build.make(stack, "Late", queue=settings, alarms=late)


@every_build("consumer", "alarms")
def test_the_age_that_raises_the_alarm_is_yours_to_choose(build: Build, stack: Stack) -> None:
    build.make(stack, "Pattern", alarms=Alarms(max_age=Duration.minutes(3)))
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"MetricName": "ApproximateAgeOfOldestMessage", "Threshold": 180},
    )


@every_build("consumer")
def test_a_dead_letter_raises_an_alarm_at_once(build: Build, stack: Stack) -> None:
    made = build.make(stack, "Pattern")
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [
                {"Name": "QueueName", "Value": stack.resolve(made.dead_letter_queue.queue_name)}
            ],
            "Threshold": 0,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    )
