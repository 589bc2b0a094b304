"""An alarm that nobody would hear of is rejected."""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.blocks.alarms import DEAD_LETTERS, Alarms
from tests.inline import rejected


def alarm(topic: Any) -> cloudwatch.Alarm:
    metric = cloudwatch.Metric(namespace="AWS/SQS", metric_name="Any")
    alarms = Alarms([cloudwatch_actions.SnsAction(topic)])
    return alarms.above(topic, "Alarm", metric, DEAD_LETTERS)


def test_a_topic_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key", enabled=False))
    with rejected("key of Stack/Topic is Stack/Key, which is disabled"):
        alarm(topic)


def test_any_other_topic_is_accepted(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    for topic in (
        sns.Topic(stack, "Plain"),
        sns.Topic(stack, "Encrypted", master_key=kms.Key(stack, "Key")),
        sns.Topic.from_topic_arn(stack, "Imported", arn),
    ):
        assert alarm(topic).alarm_arn


def test_an_old_message_raises_an_alarm_after_15_minutes_or_half_of_its_time() -> None:
    ages = [Alarms().age_or_half_of(kept) for kept in (600, 1800, 3600, None)]
    assert ages == [300, 900, 900, 900]
