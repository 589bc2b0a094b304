"""Alerts to people: who is told of what, at which cost, and what nobody is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Environment, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from serverless_patterns.patterns.blocks.routes import route
from serverless_patterns.patterns.sns_fanout.construct import Alarms, Alerts, SnsFanout
from tests.inline import properties, rejected, warned

MAIL, PHONE = "on-call@example.com", "+491701234567"
TEXTS: dict[str, Any] = {"phone_numbers": [PHONE], "monthly_sms_budget": 5}


def subscriptions(stack: Stack, protocol: str) -> list[dict[str, Any]]:
    every = properties(stack, "SNS::Subscription")
    return [one for one in every if one["Protocol"] == protocol]


def test_everything_is_told_by_mail_and_what_goes_off_by_text_message_alone(stack: Stack) -> None:
    Alerts(stack, "Alerts", emails=[MAIL, "second@example.com"], **TEXTS)
    mails = subscriptions(stack, "email")
    assert {one["Endpoint"] for one in mails} == {MAIL, "second@example.com"}
    assert not any("FilterPolicy" in one for one in mails)
    (sms,) = subscriptions(stack, "sms")
    assert sms["FilterPolicyScope"] == "MessageBody"
    assert sms["FilterPolicy"] == {"NewStateValue": ["ALARM"]}
    assert all("RedrivePolicy" in one for one in [*mails, sms])


def test_an_alarm_goes_off_before_text_messages_cost_more_than_their_budget(stack: Stack) -> None:
    Alerts(stack, "Alerts", emails=[MAIL], **TEXTS)
    (alarm,) = [
        one
        for one in properties(stack, "CloudWatch::Alarm")
        if one["MetricName"] == "SMSMonthToDateSpentUSD"
    ]
    assert (alarm["Namespace"], alarm["Statistic"]) == ("AWS/SNS", "Maximum")
    assert (alarm["Threshold"], alarm["AlarmActions"]) == (4, [{"Ref": "AlertsTopicCF7C81C9"}])


def test_only_alarms_and_the_chosen_rules_of_this_account_can_tell_people_anything(
    stack: Stack,
) -> None:
    alerts = Alerts(stack, "Alerts", emails=[MAIL])
    alerts.on_scaling("Scaled", auto_scaling_group_name="workers")
    (policy,) = properties(stack, "SNS::TopicPolicy")
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert {str(one["Principal"]["Service"]) for one in allowed} == {
        "cloudwatch.amazonaws.com",
        "events.amazonaws.com",
    }
    for one in allowed:
        assert one["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
        assert one["Condition"]["ArnLike"]["aws:SourceArn"]
    assert not hasattr(alerts, "grant_publish")


@pytest.mark.parametrize("urgent", [False, True], ids=["mail", "text message"])
def test_an_upload_and_a_scaling_change_are_told_in_a_fixed_text_without_names_of_people(
    stack: Stack, urgent: bool
) -> None:
    alerts = Alerts(stack, "Alerts", emails=[MAIL])
    alerts.on_upload("Up", bucket=s3.Bucket(stack, "Own"), prefix="errors/", urgent=urgent)
    alerts.on_scaling("Scaled", auto_scaling_group_name="workers", urgent=urgent)
    told = {}
    for rule in properties(stack, "Events::Rule"):
        (target,) = rule["Targets"]
        form = target["InputTransformer"]
        assert not {"$.detail.object.key", "$.detail"} & {*form["InputPathsMap"].values()}
        told[rule["EventPattern"]["source"][0]] = json.loads(form["InputTemplate"])
    state = "ALARM" if urgent else "OK"
    assert told == {
        "aws.s3": {
            "NewStateValue": state,
            "NewStateReason": "An object was uploaded to <detail-bucket-name>.",
        },
        "aws.autoscaling": {
            "NewStateValue": state,
            "NewStateReason": "<detail-type> in the Auto Scaling group "
            "<detail-AutoScalingGroupName>.",
        },
    }


def test_alarms_of_a_pattern_tell_people(stack: Stack) -> None:
    alerts = Alerts(stack, "Alerts", emails=[MAIL])
    SnsFanout(stack, "Fanout", alarms=Alarms([alerts.action]))
    topic = stack.resolve(alerts.topic.topic_arn)
    alarms = properties(stack, "CloudWatch::Alarm")
    assert all(one["AlarmActions"] == [topic] for one in alarms)


def test_an_address_can_stay_out_of_the_template_and_no_id_names_anybody(stack: Stack) -> None:
    given = CfnParameter(stack, "Mail", no_echo=True).value_as_string
    Alerts(stack, "Alerts", emails=[given, MAIL])
    assert {str(one["Endpoint"]) for one in subscriptions(stack, "email")} == {
        str({"Ref": "Mail"}),
        MAIL,
    }
    paths = [one.node.path for one in stack.node.find_all()]
    assert not any("on-call" in path for path in paths)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"emails": []}, "emails is empty"),
        ({"emails": ["on-call"]}, "emails has 'on-call'; each must be such as on-call@example"),
        ({"emails": MAIL}, "emails is 'on-call@example.com'; it must be of type list or tuple"),
        ({"emails": [MAIL, MAIL]}, "emails has one twice"),
        ({"phone_numbers": ["0170 1234567"], "monthly_sms_budget": 1}, "phone_numbers has '0170"),
        ({"phone_numbers": [PHONE]}, "phone_numbers was given without monthly_sms_budget"),
        ({"monthly_sms_budget": 5}, "monthly_sms_budget was given without phone_numbers"),
        ({**TEXTS, "monthly_sms_budget": 0}, "it must be above 0 US dollars"),
    ],
)
def test_nobody_to_tell_and_text_messages_without_a_limit_are_rejected(
    stack: Stack, given: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        Alerts(stack, "Alerts", **{"emails": [MAIL]} | given)


def test_text_messages_from_a_region_without_them_are_rejected() -> None:
    beijing = Stack(App(), "Stack", env=Environment(account="1" * 12, region="cn-north-1"))
    with rejected("sends text messages from cn-north-1, where SNS has none"):
        Alerts(beijing, "Alerts", emails=[MAIL], **TEXTS)


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        ({"fifo": True}, "is a FIFO topic, but a rule names no message group"),
        ({"master_key": "alias/aws/sns"}, "AWS managed key"),
        ({}, None),
    ],
)
def test_a_rule_publishes_to_a_topic_that_takes_its_events_and_to_no_other(
    stack: Stack, topic: dict[str, Any], problem: str | None
) -> None:
    if key := topic.get("master_key"):
        topic = {"master_key": kms.Alias.from_alias_name(stack, "Key", key)}
    bus, pattern = events.EventBus(stack, "Bus"), events.EventPattern(source=["shop"])
    with rejected(problem):
        route(Construct(stack, "R"), bus, pattern, sns.Topic(stack, "Topic", **topic))


def test_an_imported_topic_of_a_rule_is_warned_of(stack: Stack) -> None:
    bus, pattern = events.EventBus(stack, "Bus"), events.EventPattern(source=["shop"])
    arn = "arn:aws:sns:eu-central-1:111111111111:told"
    route(Construct(stack, "R"), bus, pattern, sns.Topic.from_topic_arn(stack, "Theirs", arn))
    warned(stack, "must allow sns:Publish to events.amazonaws.com")
