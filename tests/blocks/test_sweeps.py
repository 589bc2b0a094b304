"""The sweep of a bucket: when it runs, and who may invoke it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.s3_events_lambda.construct import (
    S3EventsToSqsToLambda,
    Sweep,
)
from tests.inline import function, properties, rejected
from tests.s3_events_lambda.builds import make, make_direct

if TYPE_CHECKING:
    from aws_cdk import Stack


def test_the_sweep_runs_by_a_schedule_that_alone_may_invoke_it(stack: Stack) -> None:
    made = make(stack)
    [rule] = properties(stack, "Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    [permission] = properties(stack, "Lambda::Permission")
    assert permission["SourceArn"] == stack.resolve(made.schedule.rule_arn)  # type: ignore[union-attr]
    [found] = [
        alarm for alarm in properties(stack, "CloudWatch::Alarm")
        if alarm["MetricName"] == "ObjectsFound"
    ]  # fmt: skip
    assert (found["Namespace"], found["Threshold"]) == ("ServerlessPatterns", 0)
    assert [one["Name"] for one in found["Dimensions"]] == ["FunctionName"]


def test_what_s3_hands_to_a_function_itself_is_swept_too(stack: Stack) -> None:
    sweep, invoked = function(stack, "Sweep"), function(stack, "Invoked")
    made = make_direct(stack, function=invoked, sweep=Sweep(sweep))
    made.grant_sweep(sweep)
    sweep.add_environment("FUNCTION_ARN", invoked.function_arn)
    assert [rule["ScheduleExpression"] for rule in properties(stack, "Events::Rule")] == [
        "rate(1 hour)"
    ]
    names = {alarm["MetricName"] for alarm in properties(stack, "CloudWatch::Alarm")}
    assert {"ObjectsFound", "Errors"} <= names
    policies = [
        statement
        for policy in properties(stack, "IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if {"Ref": policy["Roles"][0]["Ref"]} == stack.resolve(sweep.role.role_name)  # type: ignore[union-attr]
    ]
    actions = [statement["Action"] for statement in policies]
    assert sorted(actions) == ["lambda:InvokeFunction", "s3:ListBucketVersions"]


def test_without_a_sweep_nothing_is_scheduled(stack: Stack) -> None:
    made = S3EventsToSqsToLambda(stack, "Events", consumer=function(stack))
    assert made.schedule is None
    assert made.topic is None
    assert properties(stack, "Events::Rule") == []


def test_a_sweep_that_never_runs_is_rejected(stack: Stack) -> None:
    never = function(stack, "Never", reserved_concurrent_executions=0)
    with rejected("nothing would be found"):
        make(stack, sweep=Sweep(never))
