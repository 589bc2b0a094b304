"""What the construct promises beyond its queue: the clock of dead letters, and the redriver."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.dlq_redrive.construct import NewQueue, RedrivenQueue, Redriver
from tests.inline import function, rejected

DAYS = 86_400


def built(**settings: Any) -> tuple[RedrivenQueue, Stack]:
    stack = Stack(App(), "stack")
    return RedrivenQueue(stack, "Orders", **settings), stack


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({}, 14 - 4 - 2),
        ({"queue": NewQueue(fifo=True)}, 14 - 2),
        ({"queue": NewQueue(retention_period=Duration.days(1)), "warning": Duration.days(1)}, 12),
        (
            # The example of AWS: one day in a queue, four in its dead-letter queue.
            {
                "queue": NewQueue(
                    retention_period=Duration.days(1),
                    dead_letter_retention_period=Duration.days(4),
                ),
                "warning": Duration.days(1),
            },
            4 - 1 - 1,
        ),
        ({"queue": NewQueue(retention_period=Duration.days(12))}, 1),
    ],
    ids=["standard", "fifo", "early", "example", "tight"],
)
def test_the_alarm_goes_off_before_the_first_dead_letter_can_expire(
    settings: dict[str, Any], days: int
) -> None:
    _, stack = built(**settings)
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Threshold": days * DAYS,
            "AlarmDescription": Match.string_like_regexp("about to be LOST"),
        },
    )


def test_a_warning_that_comes_when_dead_letters_are_gone_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"warning has the alarm go off 10 days after .* 10 days"):
        built(warning=Duration.days(0))


def test_a_warning_that_comes_before_any_dead_letter_is_rejected() -> None:
    queue = NewQueue(
        retention_period=Duration.days(12), dead_letter_retention_period=Duration.days(13)
    )
    with pytest.raises(ValueError, match=r"warning is 2 days, but a dead letter of .*1 day"):
        built(queue=queue, warning=Duration.days(2))


def test_a_retention_period_that_only_deployment_knows_is_watched_too() -> None:
    stack = Stack(App(), "stack")
    letters = sqs.Queue(stack, "Letters")
    resource: Any = letters.node.default_child
    resource.add_property_override("MessageRetentionPeriod", {"Fn::ImportValue": "days"})
    source = sqs.Queue(
        stack,
        "Source",
        retention_period=Duration.hours(1),
        dead_letter_queue=sqs.DeadLetterQueue(queue=letters, max_receive_count=5),
    )
    made = RedrivenQueue(stack, "Orders", queue=source)
    assert len(made.alarms) == 3


def test_the_redriver_runs_on_a_schedule_with_both_queues_and_may_move_messages_only() -> None:
    stack = Stack(App(), "stack")
    redriver = function(stack, "Redriver")
    RedrivenQueue(stack, "Orders", redriver=Redriver(redriver, Duration.minutes(10)))
    template = Template.from_stack(stack)
    [rule] = template.find_resources("AWS::Events::Rule").values()
    assert rule["Properties"]["ScheduleExpression"] == "rate(10 minutes)"
    [target] = rule["Properties"]["Targets"]
    assert "dead_letter_queue_url" in str(target["Input"])
    actions = {
        action
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert {one for one in actions if one.startswith("sqs:")} == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
    }
    template.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"MetricName": "Errors", "AlarmDescription": Match.string_like_regexp("redriver fails")},
    )


@pytest.mark.parametrize("every", [0, 30, 90])
def test_a_rate_that_is_not_of_whole_minutes_is_rejected(stack: Stack, every: int) -> None:
    with rejected(f"every is {every} s; EventBridge runs a function every so many whole minutes"):
        Redriver(function(stack), Duration.seconds(every))


def test_without_a_redriver_a_person_redrives() -> None:
    made, stack = built()
    assert made.schedule is None
    Template.from_stack(stack).resource_count_is("AWS::Events::Rule", 0)


def test_grant_redrive_allows_what_the_command_does_with_these_queues_alone() -> None:
    made, stack = built()
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    made.grant_redrive(operator)
    [policy] = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    on_letters, on_queue = (one["Action"] for one in statements)
    assert {"sqs:StartMessageMoveTask", "sqs:CancelMessageMoveTask", "sqs:ReceiveMessage"} <= {
        *on_letters
    }
    assert on_queue == "sqs:SendMessage"
    assert all("*" not in str(one["Resource"]) for one in statements)


def test_an_imported_queue_has_no_dead_letter_queue_to_look_after() -> None:
    stack = Stack(App(), "stack")
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", "arn:aws:sqs:eu-central-1:1:theirs")
    made = RedrivenQueue(stack, "Orders", queue=queue)
    with pytest.raises(ValueError, match="its dead-letter queue is not known here"):
        made.grant_redrive(iam.AccountRootPrincipal())
