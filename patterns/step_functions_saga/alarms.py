"""The alarms of a saga's executions and of its parked queue, each with its runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.alarms import Alarms, Runbook
from ..blocks.values import seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions
    from constructs import Construct

_START_AGAIN = "Start them again with the same input under a new name: they continue."
_UNDONE = "Each order is confirmed or cancelled."
PARKED = Runbook(
    means="A saga could not be undone and waits for a person. In Standard it waits for 13 days.",
    see="Read the message in the parked queue: it names the order, the step and the error.",
    fix="Fix the cause, then answer the message as the pattern's page says, and delete it.",
    verify="The parked queue is empty, and the order is cancelled.",
)
FAILED = Runbook(
    means="Sagas failed: a step kept failing although its dependency should work. They are undone, "
    "unless the parked queue holds them.",
    see="Read the error of a failed execution: it names the step.",
    fix="Fix what the step calls. Clients may then order again.",
    verify="New executions succeed.",
)
TIMED_OUT = Runbook(
    means="Executions were ended in the middle by a time limit of the whole execution, and are not "
    "undone.",
    see="List the executions with the status TIMED_OUT.",
    fix=f"Remove the time limit from the definition. {_START_AGAIN}",
    verify=_UNDONE,
)
ABORTED = Runbook(
    means="Somebody stopped executions in the middle, so they are not undone.",
    see="List the executions with the status ABORTED; CloudTrail says who stopped them.",
    fix=_START_AGAIN,
    verify=_UNDONE,
)
THROTTLED = Runbook(
    means="State transitions are throttled: sagas take longer.",
    see="Compare ExecutionThrottled with the account's quota for StateTransition.",
    fix="Request a higher quota, or use Express for short sagas.",
    verify="ExecutionThrottled is 0 under the same load.",
)


def on_saga(
    scope: Construct,
    machine: stepfunctions.IStateMachine,
    parked_queue: sqs.IQueue | None,
    alarms: Alarms,
    *,
    express: bool,
) -> list[cloudwatch.Alarm]:
    """Go off when executions fail, end in the middle or are throttled, and while any is parked."""
    watched = {
        "FailedAlarm": (machine.metric_failed, FAILED),
        "TimedOutAlarm": (machine.metric_timed_out, TIMED_OUT),
    }
    if not express:
        watched["AbortedAlarm"] = (machine.metric_aborted, ABORTED)
        watched["ThrottledAlarm"] = (machine.metric_throttled, THROTTLED)
    made = [
        alarms.above(scope, name, metric(period=seconds(60), statistic="Sum"), runbook)
        for name, (metric, runbook) in watched.items()
    ]
    if parked_queue:
        made.append(alarms.on_messages(scope, "ParkedAlarm", parked_queue, PARKED))
    return made
