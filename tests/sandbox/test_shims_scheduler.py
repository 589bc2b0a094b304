"""The shims for schedules: the gap without each, and the right behavior with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import (
    allow,
    arn,
    create_stack,
    function,
    on,
    ref,
    resource,
    role,
    template,
)

if TYPE_CHECKING:
    from pathlib import Path

    from serverless_patterns.sandbox import Target

ROLE = "arn:aws:iam::000000000000:role/any"
START = "2099-01-01T00:00:00+00:00"
FAILS = "def handler(event, context):\n    raise ValueError('bad')"
# Says where it ran in a folder of this machine: a busy engine loses lines of its logs.
SLOW = """
import os, pathlib, time
def handler(event, context):
    time.sleep(0.2)
    pathlib.Path(event, f"{os.getpid()} {context.aws_request_id}").touch()
"""
PLAN = """
import boto3
def handler(event, context):
    try:
        boto3.client("scheduler").create_schedule(**event)
    except Exception as error:
        return error.response["Error"]["Code"]
    return "done"
"""
STACK = template(
    {
        "Group": resource("Scheduler::ScheduleGroup", Name="shims"),
        "Report": resource(
            "Scheduler::Schedule",
            GroupName=ref("Group"),
            ScheduleExpression="rate(1 hour)",
            ScheduleExpressionTimezone="Europe/Berlin",
            StartDate=START,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn("Fails"), "RoleArn": ROLE},
        ),
        "Fails": function(FAILS),
        "Slow": function(SLOW, Timeout=30),
        "Failures": resource("SQS::Queue"),
        "Config": resource(
            "Lambda::EventInvokeConfig",
            FunctionName=ref("Fails"),
            Qualifier="$LATEST",
            MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": arn("Failures")}},
        ),
        "PlanRole": role(
            "lambda.amazonaws.com",
            allow("scheduler:CreateSchedule", "arn:aws:scheduler:*:*:schedule/shims/*"),
            allow("iam:PassRole", ROLE),
        ),
        "Plan": function(PLAN, Role=arn("PlanRole")),
    },
    Report=ref("Report"),
    FailsArn=arn("Fails"),
    SlowName=ref("Slow"),
    FailuresUrl=ref("Failures"),
    PlanName=ref("Plan"),
)


class Schedules:
    """The stack of these tests on one target."""

    def __init__(self, target: Target) -> None:
        self.target, self.stack = target, create_stack(target, "scheduler-shims", STACK)
        self.scheduler: Any = target.client("scheduler")

    def request(self, name: str) -> dict[str, Any]:
        """Return what makes a schedule that is due."""
        return {
            "Name": name,
            "GroupName": "shims",
            "ScheduleExpression": "at(2020-01-01T00:00:00)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": self.stack["FailsArn"], "RoleArn": ROLE, "Input": "{}"},
        }


shimmed, plain = on("shared", Schedules), on("without_shims", Schedules)


def test_the_time_zone_and_the_period_of_a_template_are_the_schedules(
    plain: Schedules, shimmed: Schedules
) -> None:
    def zone(its: Schedules) -> tuple[Any, Any]:
        found = its.scheduler.get_schedule(Name=its.stack["Report"], GroupName="shims")
        return found.get("ScheduleExpressionTimezone"), found.get("StartDate")

    assert zone(plain) == ("UTC", None), "upstream keeps them now: remove the shim"
    assert zone(shimmed)[0] == "Europe/Berlin"
    assert zone(shimmed)[1]


def test_what_a_scheduled_function_fails_is_recorded(plain: Schedules, shimmed: Schedules) -> None:
    for its in (plain, shimmed):
        its.scheduler.create_schedule(**its.request("due"))
    failures = {its: its.stack["FailuresUrl"] for its in (plain, shimmed)}
    what = "until the failure is recorded"
    backlog = queues.backlog
    queues.until(lambda: backlog(shimmed.stack, failures[shimmed]) == 1, seconds=60, what=what)
    assert backlog(plain.stack, failures[plain]) == 0, "upstream records it now: remove the shim"


def test_many_asynchronous_invocations_share_some_processes(
    plain: Schedules, shimmed: Schedules, tmp_path: Path
) -> None:
    def processes(its: Schedules, folder: Path) -> set[str]:
        folder.mkdir()
        call = {"FunctionName": its.stack["SlowName"], "Payload": json.dumps(str(folder))}
        for _ in range(12):
            its.target.client("lambda").invoke(**call, InvocationType="Event")
        what = "until all have run"
        queues.until(lambda: len([*folder.iterdir()]) == 12, seconds=60, what=what)
        return {ran.name.split()[0] for ran in folder.iterdir()}

    assert len(processes(plain, tmp_path / "plain")) > 4, "upstream shares them: remove the shim"
    assert len(processes(shimmed, tmp_path / "shimmed")) <= 4


def test_a_call_about_a_schedule_is_authorized_for_its_group(
    plain: Schedules, shimmed: Schedules
) -> None:
    def plan(its: Schedules) -> Any:
        payload = json.dumps(its.request("planned") | {"State": "DISABLED"})
        lambda_ = its.target.client("lambda")
        answer = lambda_.invoke(FunctionName=its.stack["PlanName"], Payload=payload)
        return json.load(answer["Payload"])

    assert "AccessDenied" in plan(plain), "upstream knows the group now: remove the shim"
    assert plan(shimmed) == "done"
