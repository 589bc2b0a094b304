"""Times that a time zone does not have, or has twice; and schedules that fall into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import pytest

from serverless_patterns.patterns.checks import scheduler
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER, TWICE = "clocks skip", "clocks show twice"
HOUR = timedelta(hours=1)


CHANGES = {
    "Europe/Berlin": [("03-28 02:00", "03:00", True), ("10-31 02:00", "03:00", False)],
    "America/New_York": [("03-14 02:00", "03:00", True), ("11-07 01:00", "02:00", False)],
    "Australia/Lord_Howe": [("04-04 01:30", "02:00", False), ("10-03 02:00", "02:30", True)],
    "Asia/Tokyo": [],
    "UTC": [],
}


@pytest.mark.parametrize("zone", CHANGES)
def test_the_hours_of_a_change_are_known_to_the_minute(zone: str) -> None:
    found = scheduler.changes(ZoneInfo(zone), 2027)
    told = [(f"{one.start:%m-%d %H:%M}", f"{one.end:%H:%M}", one.skips) for one in found]
    assert told == CHANGES[zone]


def test_the_hours_of_every_change_are_found_in_every_time_zone_and_no_others() -> None:
    """Beside a count by hand: the clocks of each zone are read every hour of a year in UTC."""
    hours = [datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(8_760)]
    rules: dict[tuple[scheduler.Change, ...], str] = {}
    for name in sorted(available_timezones()):
        rules.setdefault(scheduler.changes(ZoneInfo(name), 2027), name)
    assert len(rules) > 10
    for told, name in rules.items():
        clock = [moment.astimezone(ZoneInfo(name)).replace(tzinfo=None) for moment in hours]
        moved = [after - before for before, after in pairwise(clock) if after - before != HOUR]
        assert moved == [HOUR + (1 if one.skips else -1) * (one.end - one.start) for one in told]


@pytest.mark.parametrize("zone", [name for name in CHANGES if name != "UTC"])
def test_a_one_time_schedule_is_rejected_at_just_those_minutes_that_there_are_not_or_twice(
    zone: str,
) -> None:
    """Beside what the database of time zones says: there and back again, and by both folds."""
    clock = ZoneInfo(zone)
    days = {change.start.date() for change in scheduler.changes(clock, 2027)}
    for day in days or {datetime(2027, 3, 28).date()}:
        for minute in range(24 * 60):
            local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
            there = {local.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (0, 1)}
            same = [one for one in there if one.astimezone(clock).replace(tzinfo=None) == local]
            found = scheduler.one_time("It", f"at({local:%Y-%m-%dT%H:%M:%S})", zone)
            problem = {0: NEVER, 1: None, 2: TWICE}[len(same)]
            assert (found is None) if problem is None else problem in (found or ""), local


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        ("2027-03-28T01:59:59", None),
        ("2027-03-28T02:00:00", NEVER),
        ("2027-03-28T02:59:59", NEVER),
        ("2027-03-28T03:00:00", None),
        ("2027-10-31T01:59:59", None),
        ("2027-10-31T02:00:00", TWICE),
        ("2027-10-31T03:00:00", None),
        ("2027-02-30T02:00:00", None),  # no date: Scheduler says so
        ("9999-12-31T02:00:00", None),
    ],
)
def test_a_one_time_schedule_is_at_a_time_that_there_is_once(at: str, problem: str | None) -> None:
    found = scheduler.one_time("It", f"at({at})", "Europe/Berlin")
    assert (found is None) if problem is None else problem in (found or "")


@pytest.mark.parametrize(
    ("cron", "lost"),
    [
        ("30 2 * * ? *", "02:30"),
        ("15,45 1-3 * * ? *", "02:15"),
        ("* 2 * * ? *", "02:00"),
        ("0/15 2 * * ? *", "02:00"),
        ("30 2 ? * SUN *", "02:30"),
        ("30 2 ? MAR,OCT 1 *", "02:30"),
        ("30 2 ? * MON-FRI *", None),  # clocks change on Sundays
        ("30 2 * 4-9 ? *", None),
        ("0 3 * * ? *", None),
        ("30 0-1 * * ? *", None),
        ("0 * * * ? *", None),  # the next hour comes at once
        ("0 99 * * ? *", None),  # no hour: Scheduler says so
        ("0 24 * * ? *", None),
        ("59 2 * * ? *", "02:59"),
        ("60 2 * * ? *", "02:00"),
        ("75 2 * * ? *", "02:00"),  # no minute: so nobody knows which
    ],
)
def test_a_schedule_of_an_hour_that_is_skipped_is_found(cron: str, lost: str | None) -> None:
    found = scheduler.skipped("It", f"cron({cron})", "Europe/Berlin", 2027)
    assert (found is None) if lost is None else f"It runs at {lost} in" in (found or "")
    assert scheduler.skipped("It", f"cron({cron})", "UTC", 2027) is None
    assert scheduler.skipped("It", f"cron({cron})", "No/Zone", 2027) is None
    assert scheduler.skipped("It", "rate(1 hour)", "Europe/Berlin", 2027) is None


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(1 hour)", None),
        ("rate(15 minutes)", None),
        ("at(2027-03-28T02:00:00)", None),
        ("at(1970-01-01T00:00:00)", None),
        ("at(2199-12-31T23:59:59)", None),
        ("cron(0 6 * * ? *)", None),
        ("cron(0/5 8-17 ? * MON-FRI 2027-2030)", None),
        ("at(1969-12-31T23:59:59)", "is no expression of"),
        ("at(2200-01-01T00:00:00)", "is no expression of"),
        ("rate(90 seconds)", "is no expression of"),
        ("rate(0 hours)", "is no expression of"),
        ("at(2027-03-28 02:00)", "is no expression of"),
        ("cron(0 6 * * *)", "is no expression of"),
        ("0 6 * * *", "is no expression of"),
        ("cron(0 6 * * * *)", "one of them must be ?"),
        ("cron(0 6 1 * MON *)", "day of the month 1 and the day of the week MON: one of them must"),
        ("cron(0 6 ? * ? *)", "one of them must be ?"),
        ("rate(${Rate})", None),
    ],
)
def test_an_expression_is_one_that_scheduler_reads(expression: str, problem: str | None) -> None:
    found = scheduler.expression("It", expression)
    assert (found is None) if problem is None else problem in (found or "")


def test_a_time_that_is_over_is_so_in_its_time_zone() -> None:
    now = datetime(2027, 6, 1, 6, 30, tzinfo=UTC)
    six = "at(2027-06-01T06:00:00)"
    assert scheduler.over("It", six, "UTC", now)
    assert scheduler.over("It", six, "America/New_York", now) is None
    assert "It is at 2027-06-01 06:30 in UTC, which is over" in str(
        scheduler.over("It", "at(2027-06-01T06:30:00)", "UTC", now)
    )
    assert scheduler.over("It", "at(2027-06-01T06:30:01)", "UTC", now) is None
    assert scheduler.over("It", "rate(1 hour)", "UTC", now) is None


def test_a_time_zone_is_one_of_the_database() -> None:
    assert scheduler.time_zone("Europe/Berlin") is None
    for wrong in ("Europe/Atlantis", "", "../../etc/passwd"):
        assert "no time zone of the IANA database" in (scheduler.time_zone(wrong) or "")


START = datetime(2027, 6, 1, tzinfo=UTC)


@boundaries(
    lambda: {
        "Scheduler retries 185 times at most": [
            (scheduler.retries(number, None), expected)
            for number, expected in (
                (None, None),
                (0, None),
                (185, None),
                (-1, "attempts is -1; it must be 0 to 185."),
                (186, "attempts is 186; it must be 0 to 185."),
            )
        ],
        "and for 60 seconds to 24 hours": [
            (scheduler.retries(185, age), expected)
            for age, expected in (
                (60, None),
                (86_400, None),
                (59, "max_event_age is 59 s; it must be 60 s to 1 day."),
                (86_401, "max_event_age is 1 day 1 s; it must be"),
            )
        ],
        "an input has 256 KiB, a description 512 characters at most": [
            (scheduler.words("It", 262_144, 512), None),
            (scheduler.words("It", 262_145, 0), "It has 262,145 bytes of input, but Scheduler"),
            (scheduler.words("It", 0, 513), "It has a description of 513 characters, but"),
        ],
        "what runs once has no period": [
            (scheduler.once("It", "rate(1 hour)", period_given=True), None),
            (scheduler.once("It", "at(2027-06-01T06:00:00)", period_given=False), None),
            (
                scheduler.once("It", "at(2027-06-01T06:00:00)", period_given=True),
                "It runs once, so",
            ),
        ],
        "a schedule ends after it starts": [
            (scheduler.ends("It", START, START + timedelta(seconds=1)), None),
            (
                scheduler.ends("It", START, START),
                "It ends at 2027-06-01T00:00:00+00:00, before it starts at 2027-06-01T00:00:00+00",
            ),
        ],
        "a dead-letter queue is standard": [
            (scheduler.dead_letter_queue("It", fifo=False), None),
            (scheduler.dead_letter_queue("It", fifo=True), "It has a FIFO dead-letter queue"),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
