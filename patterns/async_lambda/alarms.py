"""Alarms of an asynchronously invoked function (CloudWatch user guide, "Recommended alarms")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration

from ..foundation.alarms import alarm_when_above
from .settings import timeout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

MINUTE = Duration.minutes(1)
REDRIVE = (
    "Fix the cause, then send the events again with "
    "`python -m serverless_patterns.patterns.async_lambda.redrive`: "
    "the redrive of Amazon SQS does not work for this queue."
)
# Metric, evaluations, and what it says to whoever is woken by it.
FUNCTION_ALARMS = {
    "Errors": (
        3,
        "Runs of the function end in an error. Read its log; Lambda tries an event again twice at "
        "most, then records it as failed.",
    ),
    "Throttles": (
        5,
        "The function lacks concurrency, so events wait and grow old. Raise its reserved "
        "concurrency or the account's quota.",
    ),
    "AsyncEventsDropped": (
        1,
        "Events were given up, too old or tried too often. Look into the failure destination and "
        "the dead-letter queue; what is in neither is lost.",
    ),
    "DestinationDeliveryFailures": (
        1,
        "Lambda could not deliver a record: look at the destination, its policy, its key and the "
        "size of the record. The dead-letter queue has the failed events.",
    ),
    "DeadLetterErrors": (
        1,
        "Lambda could not write to the dead-letter queue: an event may be lost. Look at its "
        "policy and its key.",
    ),
}


def alarms_of_function(
    scope: Construct,
    target: lambda_.IFunction,
    *,
    max_wait: Duration,
    actions: Sequence[cloudwatch.IAlarmAction],
) -> dict[str, cloudwatch.Alarm]:
    """Make the alarms of a function, by metric name.

    Args:
        scope: Where they are made.
        target: The function, or the alias that is invoked.
        max_wait: How long an event may wait for its run.
        actions: What every alarm does.
    """
    alarms = {
        metric: alarm_when_above(
            scope,
            f"{metric}Alarm",
            metric=target.metric(metric, statistic="Sum", period=MINUTE),
            evaluation_periods=periods,
            description=description,
            actions=actions,
        )
        for metric, (periods, description) in FUNCTION_ALARMS.items()
    }
    alarms["AsyncEventAge"] = alarm_when_above(
        scope,
        "AsyncEventAgeAlarm",
        metric=target.metric("AsyncEventAge", statistic="Maximum", period=MINUTE),
        threshold=max_wait.to_milliseconds(),
        evaluation_periods=5,
        description=(
            f"Events have waited for more than {max_wait.to_human_string()}. Look at the "
            "function's errors and throttles; at the maximum age Lambda drops them."
        ),
        actions=actions,
    )
    if timeout := timeout_of(target):
        alarms["Duration"] = alarm_when_above(
            scope,
            "DurationAlarm",
            metric=target.metric("Duration", statistic="p90", period=MINUTE),
            threshold=0.9 * timeout.to_milliseconds(),
            evaluation_periods=15,
            description=(
                "One run in ten takes 90 % of the function's timeout: it will soon be cut off. "
                "Look at what it waits for, give it more memory, or raise the timeout."
            ),
            actions=actions,
        )
    return alarms


def alarm_on_failed_events(
    scope: Construct,
    construct_id: str,
    *,
    queue: sqs.IQueue,
    what: str,
    actions: Sequence[cloudwatch.IAlarmAction],
) -> cloudwatch.Alarm:
    """Raise when anything lies in the queue; ``what`` says what such a message is."""
    return alarm_when_above(
        scope,
        construct_id,
        metric=queue.metric_approximate_number_of_messages_visible(
            period=MINUTE, statistic="Maximum"
        ),
        description=f"{what} {REDRIVE}",
        actions=actions,
    )
