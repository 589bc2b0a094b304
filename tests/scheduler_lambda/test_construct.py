"""The promises of the construct beyond those of every construct."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aws_cdk import App, Duration, Environment, RemovalPolicy, Stack, TimeZone
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template
from aws_cdk.aws_scheduler import ScheduleExpression, TimeWindow

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from serverless_patterns.patterns.scheduler_lambda.construct import Retries, SchedulerToLambda
from tests.inline import function, granted, only, properties, rejected, text

BERLIN = ZoneInfo("Europe/Berlin")
HOURLY = ScheduleExpression.rate(Duration.hours(1))
SCHEDULE, ALARM = "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"


def make(stack: Stack, **settings: Any) -> SchedulerToLambda:
    settings.setdefault("function", None)
    settings["function"] = settings["function"] or function(stack)
    return SchedulerToLambda(stack, "Shop", **settings)


def test_a_schedule_of_the_calendar_runs_in_its_time_zone_with_the_ticks_name_in_its_input(
    stack: Stack,
) -> None:
    six = ScheduleExpression.cron(hour="6", minute="0", time_zone=TimeZone.EUROPE_BERLIN)
    make(stack).add_schedule("Six", six, input={"kind": "report"})
    made = only(Template.from_stack(stack), SCHEDULE)
    assert made["ScheduleExpression"] == "cron(0 6 * * ? *)"
    assert made["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert made["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert json.loads(made["Target"]["Input"]) == {
        "schedule": "<aws.scheduler.schedule-arn>",
        "scheduled_at": "<aws.scheduler.scheduled-time>",
        "execution": "<aws.scheduler.execution-id>",
        "attempt": "<aws.scheduler.attempt-number>",
        "input": {"kind": "report"},
    }


def test_hourly_within_fifteen_minutes_in_a_period_and_not_enabled_yet(stack: Stack) -> None:
    window = TimeWindow.flexible(Duration.minutes(15))
    start, end = (datetime(2099, month, 1, tzinfo=UTC) for month in (1, 2))
    period = {"start": start, "end": end, "enabled": False}
    make(stack).add_schedule("Hourly", HOURLY, time_window=window, **period)  # type: ignore[arg-type]
    made = only(Template.from_stack(stack), SCHEDULE)
    assert (made["State"], made["ScheduleExpressionTimezone"]) == ("DISABLED", "Etc/UTC")
    assert made["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert (made["StartDate"], made["EndDate"]) == (start.isoformat(), end.isoformat())


def test_a_moment_of_any_time_zone_is_a_one_time_schedule_in_utc(stack: Stack) -> None:
    make(stack).add_schedule("Once", datetime(2099, 7, 1, 6, tzinfo=BERLIN))
    made = only(Template.from_stack(stack), SCHEDULE)
    assert made["ScheduleExpression"] == "at(2099-07-01T04:00:00)"
    assert made["ScheduleExpressionTimezone"] == "UTC"


@pytest.mark.parametrize(
    ("schedule", "settings", "problem"),
    [
        (datetime(2099, 1, 1), {}, "schedule of Wrong is .* without a time zone"),
        (datetime(2027, 3, 28, 2, 30, tzinfo=BERLIN), {}, "02:30 in Europe/Berlin.*clocks skip"),
        (datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN), {}, "clocks show twice.*time in UTC"),
        (
            ScheduleExpression.expression("at(2027-03-28T02:30:00)", TimeZone.EUROPE_BERLIN),
            {},
            "clocks skip",
        ),
        (
            ScheduleExpression.expression("rate(1 hour)", TimeZone.of("Europe/Atlantis")),
            {},
            "Europe/Atlantis is no time zone",
        ),
        ("rate(1 hour)", {}, "schedule is 'rate.1 hour.'; it must be of type ScheduleExpression"),
        (HOURLY, {"time_window": 15}, "time_window is 15; it must be of type TimeWindow"),
        (HOURLY, {"start": datetime(2099, 1, 1)}, "start of Wrong is .* without"),
        (HOURLY, {"end": datetime(2099, 1, 1)}, "end of Wrong is 2099-01-01T00:00:00 without"),
        (HOURLY, {"end": "2099-01-01"}, "end is '2099-01-01'; it must be of type datetime"),
        (HOURLY, {"description": 7}, "description is 7; it must be of type str"),
        (
            HOURLY,
            {name: datetime(2099, 1, 1, tzinfo=UTC) for name in ("start", "end")},
            "before it starts .* never run",
        ),
        (HOURLY, {"input": "report"}, "input is 'report'; it must be of type dict"),
        (
            HOURLY,
            {"input": {"text": "ü" * 140_000}},
            "Wrong has 280,... bytes of input, .* 262,144",
        ),
        (HOURLY, {"enabled": "no"}, "enabled is 'no'; it must be of type bool"),
        (HOURLY, {"description": "x" * 513}, "has a description of 513 characters, .* 512"),
        (
            datetime(2099, 1, 1, tzinfo=UTC),
            {"end": datetime(2099, 2, 1, tzinfo=UTC)},
            "Schedule Wrong runs once",
        ),
        (ScheduleExpression.expression("cron(0 6 * * * *)"), {}, "one of them must be [?]"),
    ],
)
def test_a_time_that_there_is_not_is_rejected(
    stack: Stack, schedule: Any, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        make(stack).add_schedule("Wrong", schedule, **settings)


@pytest.mark.parametrize(
    ("schedule", "warning"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01 00:00 in UTC, which is over"),
        (
            ScheduleExpression.cron(hour="2", minute="30", time_zone=TimeZone.EUROPE_BERLIN),
            "02:30 in Europe/Berlin, a time that clocks skip .* on that day it does not run",
        ),
    ],
)
def test_a_tick_that_will_not_come_is_warned_of(stack: Stack, schedule: Any, warning: str) -> None:
    make(stack).add_schedule("Doubtful", schedule)
    Annotations.from_stack(stack).has_warning("/Stack/Shop", Match.string_like_regexp(warning))


def test_the_role_is_for_this_group_runs_this_function_and_nothing_else(stack: Stack) -> None:
    make(stack)
    template = Template.from_stack(stack)
    (role,) = (
        one["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        for name, one in template.find_resources("AWS::IAM::Role").items()
        if name.startswith("ShopRole")
    )
    group = next(iter(template.find_resources("AWS::Scheduler::ScheduleGroup")))
    assert [(one["Principal"], one["Condition"]) for one in role] == [
        (
            {"Service": "scheduler.amazonaws.com"},
            {
                "StringEquals": {
                    "aws:SourceAccount": {"Ref": "AWS::AccountId"},
                    "aws:SourceArn": {"Fn::GetAtt": [group, "Arn"]},
                }
            },
        )
    ]
    assert granted(template, "ShopRole") == {
        ("lambda:InvokeFunction", "<Consumer>"),
        ("sqs:SendMessage", "<ShopDeadLetterQueue>"),
    }


def test_a_role_may_write_to_the_dead_letter_queue_with_a_key_of_yours(stack: Stack) -> None:
    of_queue, of_group = kms.Key(stack, "OfQueue"), kms.Key(stack, "OfGroup")
    own = sqs.Queue(stack, "Own", encryption_master_key=of_queue)
    make(stack, dead_letter_queue=own, encryption_key=of_group).add_schedule("Hourly", HOURLY)
    template = Template.from_stack(stack)
    assert granted(template, "ShopRole") >= {
        ("sqs:SendMessage", "<Own>"),
        ("kms:Decrypt", "<OfQueue>"),
        ("kms:GenerateDataKey", "<OfQueue>"),
        ("kms:Decrypt", "<OfGroup>"),
    }
    assert "OfGroup" in str(only(template, SCHEDULE)["KmsKeyArn"])


def test_code_gets_what_a_schedule_needs_and_may_use_it_in_this_group_only(stack: Stack) -> None:
    shop = make(stack, encryption_key=kms.Key(stack, "Key"))
    environment = {"REQUEST": shop.schedule_request}
    shop.grant_schedule(function(stack, "Code", environment=environment))
    template = Template.from_stack(stack)
    told = json.dumps(only(template, "AWS::Lambda::Function", Environment=Match.any_value()))
    for part in ("DELETE", "RoleArn", "DeadLetterConfig", "MaximumRetryAttempts", "KmsKeyArn"):
        assert part in told
    allowed = granted(template, "Code")
    group = text(only(template, "AWS::Scheduler::ScheduleGroup")["Name"])
    (on,) = {resource for action, resource in allowed if action.startswith("scheduler:")}
    assert on.endswith(f":schedule/{group}/*")
    assert ("iam:PassRole", "<ShopRole>") in allowed
    conditions = json.dumps(properties(stack, "IAM::Policy"))
    assert '"iam:PassedToService": "scheduler.amazonaws.com"' in conditions
    assert "kms:EncryptionContext:aws:scheduler:schedule:arn" in conditions


def test_retries_are_for_a_day_by_default_and_settings_reach_code_and_template(
    stack: Stack,
) -> None:
    make(stack).add_schedule("Hourly", HOURLY)
    quick = SchedulerToLambda(
        stack, "Quick", function=function(stack, "Other"),
        retries=Retries(attempts=3, max_event_age=Duration.minutes(10)),
    )  # fmt: skip
    quick.add_schedule("Hourly", HOURLY)
    found = [one["Target"]["RetryPolicy"] for one in properties(stack, "Scheduler::Schedule")]
    assert found == [
        {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400},
        {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
    ]
    assert '"MaximumRetryAttempts":3' in str(stack.resolve(quick.schedule_request))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"attempts": 186}, "attempts is 186; it must be 0 to 185"),
        ({"attempts": -1}, "attempts is -1"),
        (
            {"max_event_age": Duration.seconds(59)},
            "max_event_age is 59 s; it must be 60 s to 1 day",
        ),
        ({"max_event_age": Duration.hours(25)}, "max_event_age is 1 day 1 hour"),
    ],
)
def test_retries_that_scheduler_does_not_make_are_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        Retries(**settings)


def test_what_the_function_fails_is_kept_after_lambdas_two_retries(stack: Stack) -> None:
    shop = make(stack)
    config = only(Template.from_stack(stack), "AWS::Lambda::EventInvokeConfig")
    assert config["MaximumRetryAttempts"] == 2
    target = config["DestinationConfig"]["OnFailure"]["Destination"]
    assert target == stack.resolve(shop.failure_queue.queue_arn)


def test_a_function_that_keeps_its_failures_itself_is_left_as_it_is(stack: Stack) -> None:
    own = function(stack)
    invoked = AsyncLambda(stack, "Invoked", function=own)
    shop = make(stack, function=own)
    assert len(properties(stack, "Lambda::EventInvokeConfig")) == 1
    with rejected("AsyncLambda was given the function before"):
        _ = shop.failure_queue
    assert not {alarm.node.id for alarm in shop.alarms} & {"FailureQueueAlarm"}
    assert invoked.failure_queue


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"reserved_concurrent_executions": 0}, "every event ends in its failure queue"),
        ({"retry_attempts": 1}, "Stack/Own has on_success, .* of its own"),
    ],
)
def test_a_function_that_never_runs_or_is_configured_by_the_cdk_is_rejected(
    stack: Stack, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        make(stack, function=function(stack, "Own", **settings))


def test_a_fifo_dead_letter_queue_is_rejected(stack: Stack) -> None:
    with rejected("FIFO dead-letter queue, which EventBridge Scheduler does not support"):
        make(stack, dead_letter_queue=sqs.Queue(stack, "Own", fifo=True))


def test_a_function_or_queue_elsewhere_is_rejected_in_plain_words() -> None:
    here = Stack(App(), "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    arn = "arn:aws:lambda:us-east-1:111111111111:function:theirs"
    role = iam.Role.from_role_arn(here, "Role", "arn:aws:iam::111111111111:role/theirs")
    theirs = lambda_.Function.from_function_attributes(here, "There", function_arn=arn, role=role)
    queue = sqs.Queue.from_queue_arn(here, "Queue", "arn:aws:sqs:us-east-1:111111111111:theirs")
    with rejected("function .* is in Region us-east-1"):
        make(here, function=theirs)
    with rejected("dead_letter_queue .* is in Region us-east-1"):
        SchedulerToLambda(here, "Other", function=function(here), dead_letter_queue=queue)


def test_an_imported_queue_is_used_with_a_warning_of_what_it_needs(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:theirs"
    make(stack, dead_letter_queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    warning = Match.string_like_regexp("it must be a standard queue")
    Annotations.from_stack(stack).has_warning("/Stack/Theirs", warning)


def test_nobody_but_a_role_can_be_granted_schedules(stack: Stack) -> None:
    with rejected("has no role or user to attach a policy to"):
        make(stack).grant_schedule(iam.AccountPrincipal("111111111111"))


def test_every_loss_of_a_tick_has_an_alarm_on_the_group(stack: Stack) -> None:
    shop = make(stack)
    group = stack.resolve(shop.schedule_group.schedule_group_name)
    alarms = [
        one for one in properties(stack, "CloudWatch::Alarm") if "Scheduler" in one["Namespace"]
    ]
    assert {one["MetricName"] for one in alarms} == {
        "InvocationDroppedCount",
        "InvocationsFailedToBeSentToDeadLetterCount",
        "TargetErrorCount",
        "TargetErrorThrottledCount",
    }
    dimensions = {json.dumps(one["Dimensions"]) for one in alarms}
    assert dimensions == {json.dumps([{"Name": "ScheduleGroup", "Value": group}])}


@pytest.mark.parametrize("policy", [RemovalPolicy.RETAIN, RemovalPolicy.DESTROY])
def test_schedules_that_code_has_made_outlive_the_construct_unless_told_otherwise(
    stack: Stack, policy: RemovalPolicy
) -> None:
    make(stack, removal_policy=policy)
    (group,) = Template.from_stack(stack).find_resources("AWS::Scheduler::ScheduleGroup").values()
    assert group["DeletionPolicy"] == policy.name.title().replace("Destroy", "Delete")


def test_metrics_are_those_of_the_group_and_the_queue(stack: Stack) -> None:
    shop = make(stack)
    assert shop.metric_dropped().metric_name == "InvocationDroppedCount"
    assert shop.metric_target_errors().metric_name == "TargetErrorCount"
    assert shop.metric_dead_letters().metric_name == "ApproximateNumberOfMessagesVisible"
