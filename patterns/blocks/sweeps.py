"""schedule → sweep: a function that looks through a bucket for what nothing else has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_

from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_may_run
from .findings import acknowledge
from .values import child_of, expect_fields, seconds

if TYPE_CHECKING:
    from constructs import Construct

HOUR = seconds(3600)
NAMESPACE, FOUND = "ServerlessPatterns", "ObjectsFound"


@dataclass(frozen=True)
class Sweep:
    """A function that finds what should not be in a bucket, or is there without anybody knowing.

    Attributes:
        function: Your function. It lists the bucket, compares it with the results, and reports how
            many objects it found as the metric ``ObjectsFound`` of the namespace
            ``ServerlessPatterns`` with the dimension ``FunctionName``.
        every: How often it runs. Default: every hour.

    Raises:
        ValueError: a value of the wrong type.
    """

    function: lambda_.IFunction
    every: Duration = HOUR

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))


def schedule(
    scope: Construct, sweep: Sweep, alarms: Alarms, fails: Runbook, finds: Runbook
) -> tuple[events.Rule, list[cloudwatch.Alarm]]:
    """Run a sweep by a schedule, which alone may; return the rule, and the alarms.

    Args:
        scope: Where they are made.
        sweep: The function, and how often it runs.
        alarms: What they do.
        fails: Runbook for a run that fails.
        finds: Runbook for a run that finds something.

    Raises:
        ValueError: the function never runs.
    """
    check_may_run("The sweep", sweep.function, "nothing would be found")
    rule = events.Rule(scope, "Schedule", schedule=events.Schedule.rate(sweep.every))
    lambda_.CfnPermission(
        rule,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=sweep.function.function_arn,
        principal="events.amazonaws.com",
        source_arn=rule.rule_arn,
    )
    resource: Any = child_of(rule)
    resource.targets = [{"id": "Sweep", "arn": sweep.function.function_arn}]
    findings = ("Serverless::Serverless-EventBusDLQ", "EventLoss::I9183")
    acknowledge(rule, findings, "A run that could not start is made up for by the next.")
    period = seconds(MINUTE)
    found = cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=FOUND,
        dimensions_map={"FunctionName": sweep.function.function_name},
        period=period,
        statistic="Sum",
    )
    failed = sweep.function.metric_errors(period=period, statistic="Sum")
    return rule, alarms.each(
        scope,
        [("SweepFoundAlarm", found, finds, 0, 1), ("SweepErrorsAlarm", failed, fails, 0, 1)],
    )
