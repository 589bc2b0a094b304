"""Schedules at a local time that does not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import scheduler

from ..template import Finding, Findings, Scenario, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Callable

EXPRESSION = ("ScheduleExpression",)


def _judged(scenario: Scenario, check: Callable[[object, str, str], str | None]) -> Findings:
    """Yield what is wrong with the expression of a schedule in its time zone."""
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        text = str(schedule.get("ScheduleExpression"))
        zone = str(schedule.get("ScheduleExpressionTimezone") or "UTC")
        if not is_unknown(text) and not is_unknown(zone):
            yield Finding(schedule, check(schedule, text, zone), EXPRESSION)


@rule("E9207", "scheduler", shared=scheduler.one_time)
def one_time_that_is_not_once(scenario: Scenario) -> Findings:
    """A one-time schedule must be at a local time that there is, once.

    When clocks go forward, an hour is skipped; when they go back, one is there twice. Give the time
    in UTC, or another hour.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    return _judged(scenario, lambda *of: scheduler.one_time(*of))


@rule("W9208", "scheduler")
def skipped_when_clocks_change(scenario: Scenario) -> Findings:
    """A schedule of an hour that clocks skip does not run on that day.

    EventBridge Scheduler skips a cron expression that falls on a time that there is not. Choose an
    hour that clocks never skip, or UTC.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    year = datetime.now(UTC).year
    return _judged(scenario, lambda name, at, zone: scheduler.skipped(name, at, zone, year))


@rule("I9209", "scheduler")
def one_time_that_is_over(scenario: Scenario) -> Findings:
    """A one-time schedule should be in the future.

    One whose time is over has run, or never will, and counts against the quota. Remove it, or give
    it a time in the future.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    now = datetime.now(UTC)
    return _judged(scenario, lambda name, at, zone: scheduler.over(name, at, zone, now))
