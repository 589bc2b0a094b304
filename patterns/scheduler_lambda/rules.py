"""What the schedules of a group may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aws_cdk import Annotations
from aws_cdk import aws_scheduler as scheduler

from ..blocks.values import expect
from ..checks import reject
from ..checks import scheduler as checks

if TYPE_CHECKING:
    from constructs import Construct

SECOND = "%Y-%m-%dT%H:%M:%S"


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
    """Reject a local time that does not exist; warn of ticks that are skipped, or that never come.

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
