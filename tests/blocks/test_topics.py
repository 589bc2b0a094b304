"""A subscriber with a queue: its settings, its key, its alarms and its metrics."""

from __future__ import annotations

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.blocks.topics import TopicFanout, TopicSettings, new_source
from tests.inline import function, properties, rejected


class Fanout(TopicFanout):
    def __init__(self, stack: Stack, alarms: Alarms = Alarms()) -> None:  # noqa: B008 - frozen
        super().__init__(stack, "Fanout")
        self._publish_from(new_source(sns.Topic(self, "Topic"), TopicSettings()), alarms, __name__)


def test_a_queues_own_key_encrypts_it_and_what_sns_could_not_deliver_into_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    fanout = Fanout(stack)
    fanout.add_queue("One", consumer=function(stack), queue=NewQueue(encryption_key=key))
    keys = [queue["KmsMasterKeyId"] for queue in properties(stack, "SQS::Queue")]
    assert keys == [stack.resolve(key.key_arn)] * 3
    assert "sns.amazonaws.com" in str(properties(stack, "KMS::Key"))


def test_sns_may_use_the_key_of_a_topic_before_it_has_a_subscriber(stack: Stack) -> None:
    topic, settings = sns.Topic(stack, "Topic"), TopicSettings(encryption_key=kms.Key(stack, "Key"))
    new_source(topic, settings)
    (key,) = properties(stack, "KMS::Key")
    (allowed,) = [one for one in key["KeyPolicy"]["Statement"] if "sns.amazonaws" in str(one)]
    assert allowed["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert stack.resolve(topic.topic_arn) in allowed["Condition"]["ArnLike"].values()


@pytest.mark.parametrize("new", [True, False])
def test_a_fifo_queue_of_a_standard_topic_is_rejected(stack: Stack, new: bool) -> None:
    queue = NewQueue(fifo=True) if new else sqs.Queue(stack, "Own", fifo=True)
    with rejected("topic Stack/Fanout/Topic is a standard topic.*not deliver to FIFO queues"):
        Fanout(stack).add_queue("One", consumer=function(stack), queue=queue)


def test_an_id_that_is_in_use_or_empty_is_rejected(stack: Stack) -> None:
    fanout, consumer = Fanout(stack), function(stack)
    fanout.add_queue("a/b", consumer=consumer)
    for taken in ("Topic", "a--b"):
        with rejected(f"construct_id is '{taken}', which Stack/Fanout has already"):
            fanout.add_queue(taken, consumer=consumer)
    with rejected("construct_id is '', which is empty"):
        fanout.add_queue("", consumer=consumer)


def test_a_subscribers_alarm_may_ring_earlier_than_the_fanouts(stack: Stack) -> None:
    usual = Alarms(max_age=Duration.minutes(10), runbook_url="https://wiki")
    fanout = Fanout(stack, usual)
    for name, alarms in (("Usual", None), ("Urgent", Alarms(max_age=Duration.minutes(3)))):
        fanout.add_queue(name, consumer=function(stack, f"{name}Consumer"), alarms=alarms)
    found = properties(stack, "CloudWatch::Alarm")
    ages = [a["Threshold"] for a in found if a["MetricName"] == "ApproximateAgeOfOldestMessage"]
    assert sorted(ages) == [180, 600]
    assert all("\nRunbook: https://wiki#" in alarm["AlarmDescription"] for alarm in found)


def test_metrics_are_of_the_right_resource(stack: Stack) -> None:
    fanout = Fanout(stack)
    one = fanout.add_queue("One", consumer=function(stack))
    published = fanout.metric_number_of_messages_published()
    failed = fanout.metric_number_of_notifications_failed()
    assert published.metric_name == "NumberOfMessagesPublished"
    assert failed.metric_name == "NumberOfNotificationsFailed"
    for metric, queue in (
        (one.metric_approximate_age_of_oldest_message(), one.queue),
        (one.metric_dead_letters(), one.dead_letter_queue),
        (one.metric_undelivered(), one.delivery_dead_letter_queue),
    ):
        assert metric.dimensions == {"QueueName": queue.queue_name}
