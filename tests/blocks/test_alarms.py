"""An alarm that nobody would hear of is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.blocks.alarms import DEAD_LETTERS, SEVERAL_ALARMS, Alarms
from tests.async_lambda.builds import make
from tests.inline import function, properties, rejected, warned


def alarm(topic: Any, construct_id: str = "Alarm") -> cloudwatch.Alarm:
    metric = cloudwatch.Metric(namespace="AWS/SQS", metric_name="Any")
    alarms = Alarms([cloudwatch_actions.SnsAction(topic)])
    return alarms.above(topic, construct_id, metric, DEAD_LETTERS)


def test_a_topic_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key", enabled=False))
    with rejected("key of Stack/Topic is Stack/Key, which is disabled"):
        alarm(topic)


def test_a_fifo_topic_is_rejected(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs.fifo"
    for topic in (
        sns.Topic(stack, "Topic", fifo=True),
        sns.Topic.from_topic_arn(stack, "Theirs", arn),
    ):
        with rejected("(Stack/Topic|theirs.fifo) is a FIFO topic.*nobody would hear"):
            alarm(topic)


def test_any_other_topic_is_accepted(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    for topic in (
        sns.Topic(stack, "Plain"),
        sns.Topic(stack, "Encrypted", master_key=kms.Key(stack, "Key")),
        sns.Topic.from_topic_arn(stack, "Imported", arn),
    ):
        assert alarm(topic).alarm_arn


def test_cloudwatch_may_use_the_customer_key_of_a_topic(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key"))
    for construct_id in ("One", "Other"):
        alarm(topic, construct_id)
    (key,) = properties(stack, "KMS::Key")
    _, allowed = key["KeyPolicy"]["Statement"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_an_imported_key_is_told_that_cloudwatch_needs_it(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:eu-west-1:111111111111:key/1")
    alarm(sns.Topic(stack, "Topic", master_key=key))
    warned(stack, "must allow kms:Decrypt and kms:GenerateDataKey to cloudwatch.amazonaws.com")


def test_a_function_is_called_by_several_alarms_or_rejected(stack: Stack) -> None:
    flagged = Stack(App(context={SEVERAL_ALARMS: True}), "Flagged")
    for where, problem in (
        (flagged, None),
        (stack, "actions has a LambdaAction.* Set the feature"),
    ):
        alarms = Alarms([cloudwatch_actions.LambdaAction(function(where))])
        with rejected(problem):
            make(where, alarms=alarms)
    assert len(properties(flagged, "Lambda::Permission")) > 1


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("eu-west-1:111111111111", None),
        ("us-east-1:111111111111", "a function of Region us-east-1, but AWS documents no call"),
        ("eu-west-1:222222222222", None),
    ],
)
def test_a_function_of_alarms_is_in_their_region(place: str, problem: str | None) -> None:
    app = App(context={SEVERAL_ALARMS: True})
    stack = Stack(app, "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    arn = f"arn:aws:lambda:{place}:function:theirs"
    theirs = lambda_.Function.from_function_arn(stack, "Theirs", arn)
    with rejected(problem):
        make(stack, alarms=Alarms([cloudwatch_actions.LambdaAction(theirs)]))
        if "222222222222" in place:
            warned(stack, "function of account 222222222222: its policy must allow", "*")


def test_more_actions_than_an_alarm_takes_are_rejected(stack: Stack) -> None:
    actions = [cloudwatch_actions.SnsAction(sns.Topic(stack, f"Topic{n}")) for n in range(6)]
    with rejected("actions has 6; an alarm takes 5 at most. Publish to a topic"):
        Alarms(actions)
    Alarms(actions[1:])


def test_an_old_message_raises_an_alarm_after_15_minutes_or_half_of_its_time() -> None:
    ages = [Alarms().age_or_half_of(kept) for kept in (600, 1800, 3600, None)]
    assert ages == [300, 900, 900, 900]
