"""What the schedules of a group may be, and the alarms on them, each with its runbook."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration
from aws_cdk import aws_scheduler as scheduler

from ..blocks import keys
from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.failures import AGAIN
from ..blocks.places import check_here, check_key_here
from ..blocks.queues import ask_for_key
from ..blocks.values import Path, child_of, expect, expect_fields, in_seconds, number, seconds
from ..checks import reject
from ..checks import scheduler as checks
from ..limits import SCHEDULER_MAX_AGE, SCHEDULER_RETRIES

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

SECOND = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, Scheduler attempts to hand over a tick.

    Attributes:
        attempts: Retries, 0 to 185, with growing waits. Default: 185.
        max_event_age: How old a tick may grow before Scheduler gives it up, 1 minute to 24 hours.
            Default: 24 hours.

    Raises:
        ValueError: a setting that Scheduler rejects.
    """

    attempts: int = SCHEDULER_RETRIES
    max_event_age: Duration | None = None

    def __post_init__(self) -> None:
        """Reject retries that Scheduler does not make.

        Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
        """
        expect_fields(self, attempts=(int,), max_event_age=(Duration, None))
        reject(checks.retries(number(self.attempts), in_seconds(self.max_event_age)))

    @property
    def max_age(self) -> float:
        """The maximum age in seconds."""
        age = self.max_event_age
        return age.to_seconds() if age else SCHEDULER_MAX_AGE


def check_given(
    scope: Construct,
    function: lambda_.IFunction,
    retries: Retries,
    queue: sqs.IQueue | None,
    key: kms.IKey | None,
    alarms: Alarms,
) -> None:
    """Reject what Scheduler cannot use; warn of what is imported.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html

    Raises:
        ValueError: an argument of a wrong type; a function or a queue of another account or Region,
            a FIFO queue, or a key that encrypts nothing.
    """
    expect("function", function, "IFunction")
    expect("retries", retries, Retries)
    expect("dead_letter_queue", queue, "IQueue", None)
    expect("encryption_key", key, "IKey", None)
    expect("alarms", alarms, Alarms)
    reason = "its alarms and its role belong there. Make this construct in that account and Region."
    check_here(scope, Path(function, "function "), function, reason)
    keys.check_key("encryption_key", key)
    check_key_here(scope, key)
    if queue is None:
        return
    reject(checks.dead_letter_queue(Path(scope), fifo=bool(queue.fifo)))
    check_here(scope, Path(queue, "dead_letter_queue "), queue, reason)
    keys.check_key_of(queue)
    if child_of(queue) is None:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-queue-of-schedules",
            "This queue is imported, so it cannot be checked: it must be a standard queue, and "
            f"ticks that Scheduler could not hand over are lost after its retention period."
            f"{ask_for_key(queue)}",
        )


def expression_of(
    construct_id: str, schedule: scheduler.ScheduleExpression | datetime
) -> tuple[str, str]:
    """Return a schedule as Scheduler spells it, with the name of its time zone.

    Raises:
        ValueError: a moment without a time zone, or that its time zone does not have once.
    """
    expect("schedule", schedule, scheduler.ScheduleExpression, datetime)
    if not isinstance(schedule, datetime):
        zone = schedule.time_zone
        return schedule.expression_string, zone.timezone_name if zone else "UTC"
    _check_zone("schedule", construct_id, schedule)
    local = getattr(schedule.tzinfo, "key", "UTC")
    reject(checks.one_time(f"Schedule {construct_id}", f"at({schedule:{SECOND}})", local))
    return f"at({schedule.astimezone(UTC):{SECOND}})", "UTC"


def check_time(scope: Construct, construct_id: str, text: str, zone: str) -> None:
    """Reject a time that there is not; warn of ticks that are skipped, or that never come.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Raises:
        ValueError: an unknown time zone, or a time that it does not have once.
    """
    now, name = datetime.now(UTC), f"Schedule {construct_id}"
    reject(checks.expression(name, text), checks.time_zone(zone), checks.one_time(name, text, zone))
    for problem in (checks.over(name, text, zone, now), checks.skipped(name, text, zone, now.year)):
        if problem:
            warning = f"serverless-patterns:time-of-{construct_id}"
            Annotations.of(scope).add_warning_v2(warning, problem)


def check_words(construct_id: str, given: object, description: object, enabled: object) -> None:
    """Reject an input or a description of a wrong type, or one that Scheduler rejects."""
    expect("input", given, dict, None)
    expect("description", description, str, None)
    expect("enabled", enabled, bool)
    size = len(json.dumps(given, default=str, ensure_ascii=False).encode())
    reject(checks.words(f"Schedule {construct_id}", size, len(str(description))))


def check_period(
    construct_id: str,
    text: str,
    window: scheduler.TimeWindow | None,
    start: datetime | None,
    end: datetime | None,
) -> None:
    """Reject a period that Scheduler rejects, or that holds no time.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html

    Raises:
        ValueError: it has no time zone, or ends before it starts.
    """
    expect("time_window", window, scheduler.TimeWindow, None)
    reject(checks.once(f"Schedule {construct_id}", text, period_given=bool(start or end)))
    for argument, moment in (("start", start), ("end", end)):
        expect(argument, moment, datetime, None)
        if moment is not None:
            _check_zone(argument, construct_id, moment)
    if start and end:
        reject(checks.ends(f"Schedule {construct_id}", start, end))


def _check_zone(argument: str, construct_id: str, moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError(
            f"{argument} of {construct_id} is {moment.isoformat()} without a time zone. Give it "
            'one, such as tzinfo=ZoneInfo("Europe/Berlin").'
        )


# Alarms

UNDELIVERED = Runbook(
    "Scheduler could not hand ticks to Lambda; each is stored in the dead-letter queue.",
    "Read the attributes of a message: ERROR_CODE and ERROR_MESSAGE say why, SCHEDULE_ARN and "
    "SCHEDULED_TIME which tick it is.",
    f"{AGAIN} It is most often the role, the function's concurrency, or a function that is gone. "
    "The redrive of Amazon SQS does not work for this queue.",
    "The dead-letter queue is empty, and stays empty while schedules run.",
)
# By metric: after how many minutes in a row it goes off, and what to do then.
ON_GROUP = {
    "InvocationDroppedCount": (1, Runbook(
        "Scheduler gave ticks up after its retries. They are in the dead-letter queue, or LOST.",
        "Compare InvocationsSentToDeadLetterCount: the dead-letter queue has so many of them.",
        "Follow the runbook of UndeliveredAlarm.",
        "InvocationDroppedCount stays at 0.",
    )),
    "InvocationsFailedToBeSentToDeadLetterCount": (1, Runbook(
        "Ticks are LOST: Scheduler could hand them neither to Lambda nor to the dead-letter queue.",
        "Look at the schedules' role, at the queue, its policy and key; AWS CloudTrail shows who "
        "changed them.",
        "Fix what blocks the delivery, then invoke the function for the ticks of that time.",
        "InvocationsFailedToBeSentToDeadLetterCount stays at 0.",
    )),
    "TargetErrorCount": (3, Runbook(
        "Lambda answers Scheduler with errors. Scheduler retries, then gives the tick up.",
        "Read ERROR_CODE of a dead letter; without one, AWS CloudTrail shows who changed the role "
        "or the function.",
        "Allow the role to invoke the function, or bring the function back.",
        "TargetErrorCount falls to 0.",
    )),
    "TargetErrorThrottledCount": (5, Runbook(
        "Lambda throttles Scheduler: too many ticks at the same minute. They come late.",
        "Compare the schedules of that minute with the account's quota of Lambda requests.",
        "Spread the ticks with a flexible time window, or raise the quota.",
        "TargetErrorThrottledCount falls to 0.",
    )),
}  # fmt: skip


def on_group(
    scope: Construct, alarms: Alarms, group: scheduler.ScheduleGroup
) -> list[cloudwatch.Alarm]:
    """Make the alarms on a group of schedules.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
    """

    def metric(name: str) -> cloudwatch.Metric:
        return group.metric(name, statistic="Sum", period=seconds(MINUTE))

    rows = [(f"{n}Alarm", metric(n), book, 0.0, minutes) for n, (minutes, book) in ON_GROUP.items()]
    return alarms.each(scope, rows)


def on_undelivered(scope: Construct, alarms: Alarms, queue: sqs.IQueue) -> cloudwatch.Alarm:
    """Make the alarm on the ticks that Scheduler could not hand over."""
    return alarms.on_messages(scope, "UndeliveredAlarm", queue, UNDELIVERED)
