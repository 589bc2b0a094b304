"""The promises of the construct beyond those of every queue, consumer and alarm."""

from __future__ import annotations

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.sns_fanout.construct import NewTopic, SnsFanout, Subscription
from tests.inline import function
from tests.sns_fanout.builds import make, make_subscriber

EXPRESS = sns.SubscriptionFilter.string_filter(allowlist=["express"])


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def test_a_subscriber_gets_the_events_that_it_asks_for_unwrapped(stack: Stack) -> None:
    make_subscriber(stack, subscription=Subscription(filter_policy={"service": EXPRESS}))
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::Subscription",
        {
            "Protocol": "sqs",
            "FilterPolicy": {"service": ["express"]},
            "RawMessageDelivery": True,
        },
    )


def test_what_sns_cannot_deliver_is_kept_in_a_queue_of_the_subscriber(stack: Stack) -> None:
    made = make_subscriber(stack)
    kept = stack.resolve(made.delivery_dead_letter_queue.queue_arn)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::SNS::Subscription", {"RedrivePolicy": {"deadLetterTargetArn": kept}}
    )
    template.resource_properties_count_is("AWS::SQS::Queue", {"FifoQueue": True}, 0)


def test_only_this_topic_of_this_account_may_send_to_the_queue(stack: Stack) -> None:
    fanout = make(stack)
    condition = {
        "ArnLike": {"aws:SourceArn": stack.resolve(fanout.topic.topic_arn)},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
    statement = {
        "Action": "sqs:SendMessage",
        "Condition": condition,
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
    }
    policies = Template.from_stack(stack).find_resources(
        "AWS::SQS::QueuePolicy",
        {
            "Properties": {
                "PolicyDocument": {"Statement": Match.array_with([Match.object_like(statement)])}
            }
        },
    )
    assert len(policies) == 2  # the queue, and the dead-letter queue of the delivery


def test_one_key_encrypts_topic_and_queues_and_lets_sns_use_it_for_this_topic(
    stack: Stack,
) -> None:
    key = kms.Key(stack, "Key")
    fanout = SnsFanout(stack, "Fanout", topic=NewTopic(encryption_key=key))
    fanout.add_queue("Subscriber", consumer=function(stack))
    template = Template.from_stack(stack)
    arn = {"KmsMasterKeyId": stack.resolve(key.key_arn)}
    template.all_resources_properties("AWS::SNS::Topic", arn)
    template.all_resources_properties("AWS::SQS::Queue", arn)
    allowed = {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Condition": Match.any_value()}
    template.has_resource_properties(
        "AWS::KMS::Key",
        {"KeyPolicy": {"Statement": Match.array_with([Match.object_like(allowed)])}},
    )


def test_a_key_that_sns_may_not_use_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="every delivery would fail"):
        NewTopic(encryption_key=kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns"))
    with pytest.raises(ValueError, match="which is disabled"):
        NewTopic(encryption_key=kms.Key(stack, "Disabled", enabled=False))


def test_a_topic_of_your_own_is_used_as_it_is(stack: Stack) -> None:
    topic = sns.Topic(stack, "Own")
    assert make(stack, topic=topic).topic is topic
    Template.from_stack(stack).resource_count_is("AWS::SNS::Topic", 1)


def test_a_fifo_topic_is_rejected(stack: Stack) -> None:
    topic = sns.Topic(stack, "Own", fifo=True, topic_name="own.fifo")
    with pytest.raises(ValueError, match=r"Stack/Own is a FIFO topic.*SnsFifoFanout"):
        SnsFanout(stack, "Fanout", topic=topic)


def test_an_imported_topic_is_asked_for_its_key(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    make(stack, topic=sns.Topic.from_topic_arn(stack, "Theirs", arn))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("imported.*key_arn")
    )
