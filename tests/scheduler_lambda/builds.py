"""How the contract suites make the construct, with schedules and code that makes more of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk.aws_scheduler import ScheduleExpression

from serverless_patterns.patterns.scheduler_lambda.construct import SchedulerToLambda
from tests import inline
from tests.contracts.builds import Build

if TYPE_CHECKING:
    from aws_cdk import Stack

HOURLY = ScheduleExpression.rate(Duration.hours(1))
ONCE = datetime(2099, 3, 1, 8, tzinfo=UTC)


def make(
    stack: Stack, construct_id: str = "Pattern", /, *, key: Any = None, **settings: Any
) -> SchedulerToLambda:
    function = settings.pop("function", None) or inline.function(stack, f"{construct_id}Function")
    made = SchedulerToLambda(stack, construct_id, function=function, encryption_key=key, **settings)
    made.add_schedule("Hourly", HOURLY)
    made.add_schedule("Once", ONCE)
    return made


def make_with_code(
    stack: Stack, construct_id: str = "Pattern", /, **settings: Any
) -> SchedulerToLambda:
    made = make(stack, construct_id, **settings)
    environment = {"SCHEDULE_REQUEST": made.schedule_request}
    made.grant_schedule(inline.function(stack, f"{construct_id}Code", environment=environment))
    return made


BUILDS = [
    Build("scheduler_lambda", make, frozenset({"alarms", "key"})),
    Build("scheduler_lambda code", make_with_code, frozenset({"alarms", "key"})),
]
