"""Amazon EventBridge Scheduler."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ..limits import (
    SCHEDULER_DESCRIPTION,
    SCHEDULER_FIRST_YEAR,
    SCHEDULER_INPUT_BYTES,
    SCHEDULER_LAST_YEAR,
    SCHEDULER_MAX_AGE,
    SCHEDULER_MIN_AGE,
    SCHEDULER_RETRIES,
)
from . import period

AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
RATE = re.compile(r"rate\([1-9]\d* (minute|hour|day)s?\)")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = (
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A change of the clocks: local times from ``start`` to ``end`` are skipped, or come twice."""

    start: datetime
    end: datetime
    skips: bool


def time_zone(zone: str) -> str | None:
    """A schedule's time zone is one of the IANA database.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    if _zone(zone) or not available_timezones():
        return None
    return (
        f"{zone} is no time zone of the IANA database, and EventBridge Scheduler would reject the "
        "schedule. Use a name such as Europe/Berlin or UTC."
    )


def expression(name: object, text: str) -> str | None:
    """A schedule is ``at(…)``, ``rate(…)`` or ``cron(…)`` as Scheduler reads it.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Args:
        name: The schedule.
        text: When; one that only deployment knows passes.
    """
    if "${" in text or _moment(text) or RATE.fullmatch(text):
        return None
    cron = CRON.fullmatch(text)
    if cron is None:
        return (
            f"{name} runs at {text!r}, which is no expression of EventBridge Scheduler. Use "
            "at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)."
        )
    if (cron[3] == "?") is not (cron[5] == "?"):
        return None
    return (
        f"{name} runs at {text}, which asks for the day of the month {cron[3]} and the day of the "
        f"week {cron[5]}: one of them must be ?, and the other must not."
    )


def retries(attempts: float | None, age: float | None) -> str | None:
    """Scheduler retries 185 times at most, for 1 minute to 24 hours.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html

    Args:
        attempts: Retries; None when only deployment knows.
        age: How old a tick may grow, in seconds; None when only deployment knows.
    """
    if attempts is not None and not 0 <= attempts <= SCHEDULER_RETRIES:
        return f"attempts is {attempts:g}; it must be 0 to {SCHEDULER_RETRIES}."
    if age is not None and not SCHEDULER_MIN_AGE <= age <= SCHEDULER_MAX_AGE:
        most = period(SCHEDULER_MAX_AGE)
        return f"max_event_age is {period(age)}; it must be {period(SCHEDULER_MIN_AGE)} to {most}."
    return None


def words(name: object, of_input: int, of_description: int) -> str | None:
    """A schedule's input has 256 KiB at most, its description 512 characters.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html

    Args:
        name: The schedule.
        of_input: Bytes of its input.
        of_description: Characters of its description.
    """
    if of_input > SCHEDULER_INPUT_BYTES:
        return (
            f"{name} has {of_input:,} bytes of input, but Scheduler takes "
            f"{SCHEDULER_INPUT_BYTES:,}. Store it, and give its place as the input."
        )
    if of_description > SCHEDULER_DESCRIPTION:
        return (
            f"{name} has a description of {of_description} characters, but Scheduler takes "
            f"{SCHEDULER_DESCRIPTION}. Shorten it."
        )
    return None


def once(name: object, text: str, *, period_given: bool) -> str | None:
    """A one-time schedule has no start and no end: Scheduler ignores them.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    if not (period_given and text.startswith("at(")):
        return None
    return f"{name} runs once, so Scheduler ignores its start and end. Leave them out."


def ends(name: object, start: datetime, end: datetime) -> str | None:
    """A schedule ends after it starts.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
    """
    if end > start:
        return None
    return (
        f"{name} ends at {end.isoformat()}, before it starts at {start.isoformat()}, so it would "
        "never run. Give a later end."
    )


def one_time(name: object, expression: str, zone: str) -> str | None:
    """A one-time schedule is at a local time that there is, once.

    Lint E9207. Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Args:
        name: The schedule.
        expression: When, such as ``at(2027-03-28T02:30:00)``; any other passes.
        zone: The time zone's name; one that is not known passes.
    """
    moment, found = _moment(expression), _zone(zone)
    if moment is None or found is None:
        return None
    for change in changes(found, moment.year):
        if change.start <= moment < change.end:
            why = "skip" if change.skips else "show twice"
            return (
                f"{name} is at {moment:%Y-%m-%d %H:%M} in {zone}, a time that clocks {why} on that "
                "day, so nobody can say when it runs. Give the time in UTC."
            )
    return None


def over(name: object, expression: str, zone: str, now: datetime) -> str | None:
    """A one-time schedule is in the future.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Args:
        name: The schedule.
        expression: When; any other than ``at(…)`` passes.
        zone: The time zone's name; one that is not known passes.
        now: The time in UTC.
    """
    moment, found = _moment(expression), _zone(zone)
    if moment is None or found is None or moment.replace(tzinfo=found) > now:
        return None
    return (
        f"{name} is at {moment:%Y-%m-%d %H:%M} in {zone}, which is over: it has run, or never "
        "will. Remove it, or give a time in the future."
    )


def skipped(name: object, expression: str, zone: str, year: int) -> str | None:
    """A schedule of certain hours runs on every day, also when clocks change.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

    Args:
        name: The schedule.
        expression: When, such as ``cron(30 2 * * ? *)``; one of every hour passes.
        zone: The time zone's name; one that is not known passes.
        year: Whose changes count; other years have theirs at the same hours.
    """
    cron, found = CRON.fullmatch(expression), _zone(zone)
    if cron is None or found is None:
        return None
    minutes, hours, _, months, weekdays, _ = cron.groups()
    at = _numbers(hours)
    for change in changes(found, year) if at else ():
        day = change.start.date()
        runs = _runs_in(months, MONTHS, day.month) and _runs_in(weekdays, WEEKDAYS, _weekday(day))
        times = [time(h, m) for h in at or () if h < 24 for m in _numbers(minutes) or range(60)]
        lost = [one for one in times if change.start <= datetime.combine(day, one) < change.end]
        if change.skips and runs and lost:
            return (
                f"{name} runs at {min(lost):%H:%M} in {zone}, a time that clocks skip when they go "
                "forward: on that day it does not run. Choose another hour, or UTC."
            )
    return None


def dead_letter_queue(name: object, *, fifo: bool) -> str | None:
    """A schedule's dead-letter queue is standard.

    Lint E9137. Source:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
    """
    if not fifo:
        return None
    return (
        f"{name} has a FIFO dead-letter queue, which EventBridge Scheduler does not support: "
        "undeliverable events are lost. Use a standard queue."
    )


@cache
def changes(zone: ZoneInfo, year: int) -> tuple[Change, ...]:
    """Return the changes of the clocks of a time zone in a year, in order; to the minute."""
    found, minute = [], timedelta(minutes=1)
    for day in range(366):
        low = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day)
        high = low + timedelta(days=1)
        before, after = _offset(low, zone), _offset(high, zone)
        if before == after:
            continue
        while high - low > minute:
            middle = low + (high - low) // 2
            low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
        moment = high.replace(second=0, microsecond=0, tzinfo=None)
        start, end = sorted((moment + before, moment + after))
        found.append(Change(start, end, skips=after > before))
    return tuple(found)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _moment(expression: str) -> datetime | None:
    at = AT.fullmatch(expression)
    try:
        moment = datetime.fromisoformat(at[1]) if at else None
    except ValueError:
        return None
    return moment if moment and SCHEDULER_FIRST_YEAR <= moment.year <= SCHEDULER_LAST_YEAR else None


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _runs_in(field: str, names: tuple[str, ...], number: int) -> bool:
    """Whether a field of months or weekdays has a number; one that is not plain may have it."""
    for place, name in enumerate(names, 1):
        field = re.sub(name, str(place), field, flags=re.IGNORECASE)
    numbers = _numbers(field)
    return numbers is None or number in numbers


def _numbers(field: str) -> list[int] | None:
    """Return what a field of numbers and ranges lists; None for any other field."""
    found: list[int] = []
    for part in field.split(","):
        bounds = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", part)
        if bounds is None:
            return None
        found += range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1)
    return found if max(found, default=0) < 60 else None
