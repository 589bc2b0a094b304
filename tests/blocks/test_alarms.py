"""An alarm that nobody would hear of is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.blocks.alarms import DEAD_LETTERS, Alarms


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def alarm(stack: Stack, topic: sns.ITopic) -> cloudwatch.Alarm:
    metric = cloudwatch.Metric(namespace="AWS/SQS", metric_name="Any")
    alarms = Alarms([cloudwatch_actions.SnsAction(topic)])
    return alarms.above(stack, "Alarm", metric, DEAD_LETTERS)


def test_a_topic_with_the_aws_managed_key_is_rejected(stack: Stack) -> None:
    key = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns")
    with pytest.raises(ValueError, match="Topic Stack/Topic is encrypted with alias/aws/sns"):
        alarm(stack, sns.Topic(stack, "Topic", master_key=key))


def test_a_topic_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key", enabled=False))
    with pytest.raises(ValueError, match="key of Stack/Topic is Stack/Key, which is disabled"):
        alarm(stack, topic)


@pytest.mark.parametrize("encrypted", [True, False])
def test_any_other_topic_is_accepted(stack: Stack, encrypted: bool) -> None:
    settings: dict[str, Any] = {"master_key": kms.Key(stack, "Key")} if encrypted else {}
    assert alarm(stack, sns.Topic(stack, "Topic", **settings)).alarm_arn


def test_an_imported_topic_is_accepted(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    assert alarm(stack, sns.Topic.from_topic_arn(stack, "Topic", arn)).alarm_arn
