"""Schedule, or a table's stream → Lambda ⇢ alarm: a relay that sends what an outbox holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from ..limits import CLOUDWATCH_ALARM_WINDOW
from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_has_role, check_may_run
from .sweeps import NAMESPACE, check_rate, rule_of
from .values import Path, expect, expect_fields, in_seconds, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_events as events
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

EVERY_MINUTE = seconds(MINUTE)
RELAY_FAILS = Runbook(
    means="Runs of the relay fail. Orders wait in the outbox, and none is lost.",
    see="Read its log: a cluster that resumes or is unavailable, a permission, or the queue.",
    fix="Fix the cause. The next run sends what waits.",
    verify="Errors falls to 0, and OutboxAge to 0.",
)
OUTBOX_WAITS = Runbook(
    means="Orders wait in the outbox for too long: the queue does not take them, or there are more "
    "than the relay sends.",
    see="Read the relay's log for codes of the queue; `SELECT attempts, count(*) FROM outbox GROUP "
    "BY attempts` shows what fails.",
    fix="Fix the queue or its permissions. If there is only too much to send, run the relay more "
    "often, or invoke it by hand: runs at the same time take other rows.",
    verify="OutboxAge falls to 0.",
)
# A relay that does not run reports nothing: neither errors, nor the age of what waits.
RELAY_STOPPED = Runbook(
    means="The relay does not run, so orders that are accepted are not sent.",
    see="Look for a schedule or an event source mapping that is disabled or gone, or a function "
    "that reserves no concurrency; AWS CloudTrail shows who changed it.",
    fix="Enable it: what waits is sent then. If a stream feeds the relay, touch orders that are "
    "more than a day old.",
    verify="Invocations of the relay rise, and orders end.",
)
QUARTER = seconds(900)


@dataclass(frozen=True)
class Relay:
    """A function that sends what the outbox holds.

    Attributes:
        function: Function or alias, such as ``lambdas/decoupled_messaging/relay_aurora.py``. It
            reports the metric ``OutboxAge`` of the namespace ``ServerlessPatterns``.
        every: How often it runs, in whole minutes. A cluster pauses only between runs that are
            more than five minutes apart. Default: every minute.

    Raises:
        ValueError: a value of the wrong type, or a rate that EventBridge does not know.
    """

    function: lambda_.IFunction
    every: Duration = EVERY_MINUTE

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))
        check_rate("every", self.every)

    @classmethod
    def of(cls, relay: lambda_.IFunction | Relay, deadline: Duration) -> Relay:
        """Return a relay: itself, or a function with the defaults.

        Raises:
            ValueError: it never runs, or not before what it sends has failed for its client.
        """
        expect("relay", relay, "IFunction", Relay)
        relay = relay if isinstance(relay, Relay) else cls(relay)
        check_has_role("relay", relay.function)
        check_may_run(Path(relay.function, "relay "), relay.function, "no order would be sent")
        every, ends = relay.every.to_seconds(), in_seconds(deadline)
        if ends is not None and every >= ends:
            raise ValueError(
                f"The relay runs every {every:g} s, and an order fails for its client after "
                f"{ends:g} s (deadline), before it is sent. Run the relay more often, or give a "
                "later deadline."
            )
        return relay


def run_relay(
    scope: Construct, relay: Relay, alarms: Alarms
) -> tuple[events.Rule, list[cloudwatch.Alarm]]:
    """Run a relay by a rule that alone may invoke it; return the rule, and its alarms."""
    rule = rule_of(scope, relay.function, relay.every)
    age = cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name="OutboxAge",
        dimensions_map={"FunctionName": relay.function.function_name},
        statistic="Maximum",
        period=EVERY_MINUTE,
    )
    errors = relay.function.metric_errors(period=EVERY_MINUTE, statistic="Sum")
    rows = [
        ("OutboxAgeAlarm", age, OUTBOX_WAITS, alarms.age_or_half_of(None), 1),
        ("RelayErrorsAlarm", errors, RELAY_FAILS, 0.0, 3),
    ]
    calls = relay.function.metric_invocations(period=EVERY_MINUTE, statistic="Sum")
    window = min(max(QUARTER.to_seconds(), 3 * relay.every.to_seconds()), CLOUDWATCH_ALARM_WINDOW)
    silent = alarms.silent(
        scope, "RelayStoppedAlarm", calls, RELAY_STOPPED, evaluation_periods=int(window // MINUTE)
    )
    return rule, [*alarms.each(scope, rows), silent]


def watch_reader(
    scope: Construct, relay: lambda_.IFunction, table: dynamodb.ITable, alarms: Alarms
) -> cloudwatch.Alarm:
    """Go off when items are put into a table, and the relay that reads its stream is not called.

    IteratorAge cannot tell: a mapping that is disabled reports none. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    """
    put = cloudwatch.Metric(
        namespace="AWS/DynamoDB",
        metric_name="SuccessfulRequestLatency",
        dimensions_map={"TableName": table.table_name, "Operation": "PutItem"},
        statistic="SampleCount",
        period=QUARTER,
    )
    calls = relay.metric_invocations(period=QUARTER, statistic="Sum")
    unsent = cloudwatch.MathExpression(
        expression="IF(FILL(put, 0) > 0 AND FILL(calls, 0) == 0, 1, 0)",
        using_metrics={"put": put, "calls": calls},
        period=QUARTER,
    )
    # An item that is put as a quarter of an hour ends is sent in the next one.
    return alarms.above(
        scope, "RelayStoppedAlarm", unsent, RELAY_STOPPED, evaluation_periods=8, datapoints=2
    )
