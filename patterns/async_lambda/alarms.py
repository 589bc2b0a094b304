"""Alarms of an asynchronously invoked function, each with the runbook that fixes it.

Metrics, periods and evaluations:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.failures import AGAIN, FAILURES
from ..blocks.queues import dead_letter_queue_of
from ..blocks.values import seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from ..blocks.destinations import Target
    from .settings import Retries

DEAD_LETTERS = replace(
    FAILURES,
    means="Events failed or were refused; each is stored unmodified in the dead-letter queue.",
    see="Read the attributes of a message: Reason and ReasonDetail, or ErrorCode and ErrorMessage.",
)
# By metric: its statistic, after how many minutes in a row it goes off, and what to do then.
OF_FUNCTION = {
    "Errors": ("Sum", 3, Runbook(
        "Runs of the function fail. Lambda retries an event, then records it as failed.",
        "Read the function's log; a Duration close to its timeout means that runs are cut off.",
        "Fix the function, or the dependency that its errors name.",
        "Errors falls to 0, and no new record arrives at the failure destination.",
    )),
    "Throttles": ("Sum", 5, Runbook(
        "The function lacks concurrency, so events wait and grow old.",
        "Compare ConcurrentExecutions with its reserved concurrency and the account's quota.",
        "Raise the one that limits it, or slow the senders down.",
        "Throttles falls to 0, and AsyncEventAge falls.",
    )),
    "AsyncEventsDropped": ("Sum", 1, Runbook(
        "Lambda dropped events that were too old or had failed too often.",
        "Read the failure destination and the dead-letter queue; what neither has is LOST.",
        AGAIN,
        "AsyncEventsDropped stays at 0.",
    )),
    "DestinationDeliveryFailures": ("Sum", 1, Runbook(
        "Lambda could not deliver a record. The dead-letter queue has the events that failed.",
        "Look at the destination, its policy and key, the function's role, and the record's size: "
        "it holds the event and the result.",
        "Fix what blocks the delivery, or use a destination that takes larger records.",
        "DestinationDeliveryFailures stays at 0 while events run.",
    )),
    "DeadLetterErrors": ("Sum", 1, Runbook(
        "Lambda could not write to the dead-letter queue: an event may be LOST.",
        "Look at the queue, its policy and key, and the function's role; AWS CloudTrail shows who "
        "changed them.",
        "Fix what blocks the delivery. Send the events again from their records.",
        "DeadLetterErrors stays at 0 while events fail.",
    )),
    "AsyncEventAge": ("Maximum", 5, Runbook(
        "Events wait for too long. Lambda drops them at their maximum age.",
        "Compare the function's Errors, Throttles and Duration with the events that arrive.",
        "Fix the function or its dependency. If it only has too much to do, raise its concurrency.",
        "AsyncEventAge falls.",
    )),
    "Duration": ("p90", 15, Runbook(
        "One run in ten comes close to the function's timeout and will soon be cut off.",
        "Read a trace of a slow run: it shows the call that takes so long.",
        "Speed that call up, give the function more memory, or raise its timeout.",
        "The p90 of Duration falls.",
    )),
}  # fmt: skip


def alarms_on_function(
    scope: Construct,
    target: lambda_.IFunction,
    alarms: Alarms,
    retries: Retries,
    timeout: float | None,
) -> dict[str, cloudwatch.Alarm]:
    """Make the alarms of a function or alias, by metric; ``timeout`` is None when not known."""
    thresholds = {"AsyncEventAge": 1000 * alarms.age_or_half_of(retries.known_age)}
    if timeout is not None:
        thresholds["Duration"] = 900 * timeout
    return {
        metric: alarms.above(
            scope,
            f"{metric}Alarm",
            target.metric(metric, statistic=statistic, period=seconds(MINUTE)),
            runbook,
            threshold=thresholds.get(metric, 0),
            evaluation_periods=minutes,
        )
        for metric, (statistic, minutes, runbook) in OF_FUNCTION.items()
        if metric != "Duration" or timeout is not None
    }


def alarms_on_queues(
    scope: Construct, alarms: Alarms, failed: Target, dead_letters: Target | None
) -> list[cloudwatch.Alarm]:
    """Make the alarms on failed events, where they are stored in queues for a person.

    A queue with a dead-letter queue of its own has a consumer, who processes them again.
    """
    return [
        alarms.on_messages(scope, name, target.resource, runbook)
        for name, target, runbook in (
            ("FailureQueueAlarm", failed, FAILURES),
            ("DeadLetterAlarm", dead_letters, DEAD_LETTERS),
        )
        if target and target.kind == "queue" and dead_letter_queue_of(target.resource) is None
    ]
