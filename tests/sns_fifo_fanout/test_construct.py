"""The promises of the construct beyond those of every topic, queue, consumer and alarm."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, NestedStack, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.sns_fifo_fanout import rules
from serverless_patterns.patterns.sns_fifo_fanout.construct import (
    NewQueue,
    NewTopic,
    SnsFifoFanout,
    Subscription,
)
from tests.inline import function, properties
from tests.sns_fifo_fanout.builds import make, subscribe

if TYPE_CHECKING:
    from serverless_patterns.patterns.blocks.topics import QueueSubscriber


def the_topic(stack: Stack) -> dict[str, Any]:
    (topic,) = properties(stack, "SNS::Topic")
    return topic


def fifo_queue(stack: Stack, **settings: Any) -> sqs.Queue:
    kept = sqs.Queue(stack, "OwnDlq", fifo=True)
    letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    timeout = Duration.minutes(1)
    return sqs.Queue(
        stack, "Own", fifo=True, visibility_timeout=timeout, dead_letter_queue=letters, **settings
    )


def test_the_topic_is_fifo_and_deduplicates_within_the_message_group(stack: Stack) -> None:
    SnsFifoFanout(stack, "Fanout")
    topic = the_topic(stack)
    assert topic["FifoTopic"] is True
    assert topic["FifoThroughputScope"] == "MessageGroup"
    assert not {"ContentBasedDeduplication", "ArchivePolicy"} & topic.keys()
    name = json.dumps(topic["TopicName"])
    assert '{"Ref": "AWS::StackId"}' in name, "it is unique to the stack"
    assert "StackFanout" in name
    assert '".fifo"' in name


@pytest.mark.parametrize("known", [True, False])
def test_the_topics_deduplication_and_archive_are_a_choice(stack: Stack, known: bool) -> None:
    parameter = CfnParameter(stack, "Days", type="Number").value_as_number
    settings = NewTopic(
        content_based_deduplication=True,
        fifo_throughput_scope=sns.FifoThroughputScope.TOPIC,
        message_retention_period_in_days=30 if known else parameter,
        encryption_key=kms.Key(stack, "Key"),
    )
    SnsFifoFanout(stack, "Fanout", topic=settings)
    topic = the_topic(stack)
    assert topic["ContentBasedDeduplication"] is True
    assert topic["FifoThroughputScope"] == "Topic"
    assert topic["ArchivePolicy"] == {"MessageRetentionPeriod": 30 if known else {"Ref": "Days"}}


@pytest.mark.parametrize("nested", [False, True])
def test_a_policy_in_another_stack_names_the_topic_of_this_one(nested: bool) -> None:
    """``AWS::StackId`` there would be that stack's own: no topic would have such an ARN."""
    app = App()
    other = Stack(app, "Other")
    here = NestedStack(other, "Nested") if nested else Stack(app, "Stack")
    topic = NewTopic(encryption_key=kms.Key(other, "Key"))
    subscribe(here, topic=topic, queue=fifo_queue(other))
    policies = Template.from_stack(other).find_resources("AWS::SQS::QueuePolicy")
    keys = Template.from_stack(other).find_resources("AWS::KMS::Key")
    arns = re.findall(r'"aws:SourceArn": (\{.*?\})\}', json.dumps([policies, keys]))
    assert len(arns) == 2
    for arn in arns:
        assert "AWS::StackId" not in arn
        assert re.search(r"Fanout[^\"]*-\*\.fifo", arn)


# Subscribers


def test_each_subscriber_has_a_queue_two_dead_letter_queues_and_a_consumer(stack: Stack) -> None:
    fanout = make(stack)
    template = Template.from_stack(stack).to_json()["Resources"]
    kinds = [(True, True, True), (None, None, True)]  # SNS keeps what it cannot deliver in FIFO
    for one, expected in zip(fanout.subscribers, kinds, strict=True):
        queues = one.queue, one.dead_letter_queue, one.delivery_dead_letter_queue
        ids = [stack.resolve(queue.queue_arn)["Fn::GetAtt"][0] for queue in queues]
        assert tuple(template[i]["Properties"].get("FifoQueue") for i in ids) == expected
        assert one.event_source_mapping


def test_a_fifo_queue_of_your_own_is_used_and_its_key_allows_sns(stack: Stack) -> None:
    queue = fifo_queue(stack, encryption_master_key=kms.Key(stack, "Key"))
    made: QueueSubscriber = subscribe(stack, queue=queue)
    assert (made.queue, made.dead_letter_queue.node.path) == (queue, "Stack/OwnDlq")
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SQS::Queue", 3)
    assert "sns.amazonaws.com" in str(template.find_resources("AWS::KMS::Key"))


# Configurations that plain CDK accepts and that would fail or lose events


@pytest.mark.parametrize(
    ("protocol", "instead"),
    [
        (sns.SubscriptionProtocol.LAMBDA, r"make the function its consumer, with add_queue"),
        (sns.SubscriptionProtocol.FIREHOSE, r"in its consumer, with add_queue\(\)"),
        (sns.SubscriptionProtocol.HTTP, r"in its consumer, with add_queue\(\)"),
        (sns.SubscriptionProtocol.HTTPS, r"in its consumer, with add_queue\(\)"),
        (sns.SubscriptionProtocol.EMAIL, "standard topic in its consumer"),
    ],
)
def test_a_subscriber_that_is_no_queue_is_rejected_with_what_to_use(
    protocol: sns.SubscriptionProtocol, instead: str
) -> None:
    with pytest.raises(ValueError, match=f"protocol {protocol.name.lower()},.*queues.*{instead}"):
        rules.check_protocol(protocol.name)


def test_a_subscription_in_cdks_own_way_is_held_to_the_same_rules(stack: Stack) -> None:
    topic = SnsFifoFanout(stack, "Fanout").topic
    topic.add_subscription(subscriptions.SqsSubscription(sqs.Queue(stack, "Queue")))
    lossy = subscriptions.SqsSubscription(
        sqs.Queue(stack, "Other", fifo=True), dead_letter_queue=sqs.Queue(stack, "Standard")
    )
    with pytest.raises(ValueError, match="dead-letters to FIFO queues only"):
        topic.add_subscription(lossy)
    with pytest.raises(ValueError, match="protocol lambda"):
        topic.add_subscription(subscriptions.LambdaSubscription(function(stack)))
    Template.from_stack(stack).resource_count_is("AWS::SNS::Subscription", 1)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_settings_of_a_subscription_reach_it(stack: Stack, ordered: bool) -> None:
    raw = Subscription(raw_message_delivery=False)
    subscribe(stack, queue=NewQueue(fifo=ordered), subscription=raw)
    Template.from_stack(stack).has_resource_properties(
        "AWS::SNS::Subscription", {"RawMessageDelivery": False}
    )


def test_a_fifo_queue_of_your_own_that_loses_messages_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="deleted before it is dead-lettered"):
        subscribe(stack, queue=fifo_queue(stack, retention_period=Duration.minutes(5)))


def test_an_archive_that_sns_cannot_replay_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="is 7 without encryption_key"):
        NewTopic(message_retention_period_in_days=7)
    key = kms.Key(stack, "Key")
    for days in (0, 366):
        with pytest.raises(ValueError, match=f"is {days}; it must be 1 to 365"):
            NewTopic(message_retention_period_in_days=days, encryption_key=key)


def test_a_standard_topic_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Stack/Own is a standard topic"):
        SnsFifoFanout(stack, "Fanout", topic=sns.Topic(stack, "Own"))
