"""Schedule → sweep ⇢ alarm: a function that finds what no event announced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_

from ..checks import period
from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_may_run
from .findings import acknowledge
from .grants import permission
from .publishers import EVENTBRIDGE
from .values import child_of, expect_fields, in_seconds, seconds

if TYPE_CHECKING:
    from constructs import Construct

HOUR = seconds(3600)
NAMESPACE, FOUND = "ServerlessPatterns", "ObjectsFound"
SWEEP_FAILS = Runbook(
    means="The sweep fails, so objects that no event announced stay unnoticed.",
    see="Read its log: a missing permission, a bucket too large for its timeout, or a dependency.",
    fix="Fix the cause, then invoke the function by hand: it may run at any time.",
    verify="A run ends without an error.",
)
SWEEP_FINDS = Runbook(
    means="The sweep found objects that no event had announced, and sent an event for each.",
    see="Read the sweep's log for how many; AWS CloudTrail shows who changed the bucket's "
    "notification configuration, or the policy of the queue or function that it notifies.",
    fix="Deploy the stack again if the configuration has changed. The objects need nothing: the "
    "consumer gets them now.",
    verify="The next runs find none.",
)


@dataclass(frozen=True)
class Sweep:
    """A function that finds objects which no event announced, and sends an event for each.

    Attributes:
        function: Your function. It lists the bucket, compares it with the results, and reports how
            many it found as the metric ``ObjectsFound`` of the namespace ``ServerlessPatterns``
            with the dimension ``FunctionName``.
        every: How often it runs, in whole minutes. Default: every hour.

    Raises:
        ValueError: a value of the wrong type, or a rate that EventBridge does not know.
    """

    function: lambda_.IFunction
    every: Duration = HOUR

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))
        check_rate("every", self.every)


def check_rate(name: str, every: Duration) -> None:
    """Reject a time between runs that is not of whole minutes.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html

    Raises:
        ValueError: it is shorter, ends within a minute, or only deployment knows it.
    """
    found = in_seconds(every)
    if found is None or found < MINUTE or found % MINUTE:
        given = "known at deployment only" if found is None else period(found)
        raise ValueError(
            f"{name} is {given}; EventBridge runs a function every so many whole minutes. Give "
            "Duration.minutes(1) or more."
        )


def run_by_schedule(
    scope: Construct,
    sweep: Sweep,
    alarms: Alarms,
    fails: Runbook = SWEEP_FAILS,
    finds: Runbook = SWEEP_FINDS,
) -> tuple[events.Rule, list[cloudwatch.Alarm]]:
    """Run a sweep by a rule that alone may invoke it; return the rule, and its alarms.

    ``fails`` and ``finds`` are the runbooks of a run that fails, and of one that finds something.

    Raises:
        ValueError: the function never runs.
    """
    check_may_run("The sweep", sweep.function, "nothing would be found")
    rule = rule_of(scope, sweep.function, sweep.every)
    about: Any = {"period": seconds(MINUTE), "statistic": "Sum"}
    name = {"FunctionName": sweep.function.function_name}
    found = cloudwatch.Metric(namespace=NAMESPACE, metric_name=FOUND, dimensions_map=name, **about)
    failed = sweep.function.metric_errors(**about)
    rows = [
        ("SweepFoundAlarm", found, finds, 0, 1),
        ("SweepErrorsAlarm", failed, fails, 0, 1),
    ]
    return rule, alarms.each(scope, rows)


def rule_of(
    scope: Construct, function: lambda_.IFunction, every: Duration, **target: str
) -> events.Rule:
    """Run a function at a rate, by a rule that alone may invoke it. ``target``: of the rule."""
    rule = events.Rule(scope, "Schedule", schedule=events.Schedule.rate(every))
    arn, resource = function.function_arn, child_of(rule)
    permission(rule, arn, EVENTBRIDGE, rule.rule_arn)
    resource.targets = [{"id": "Sweep", "arn": arn} | target]
    findings = ("Serverless::Serverless-EventBusDLQ", "EventLoss::I9183")
    acknowledge(rule, findings, "A run that could not start is made up for by the next.")
    return rule
