"""EventBridge Scheduler: what a schedule in a template says, and how a schedule runs."""

from __future__ import annotations

from typing import Any

from ._forward import afterwards, ministack

GAPS = {
    "scheduler-context-attributes": "A schedule's input keeps <aws.scheduler.scheduled-time> and "
    "the like as they are.",
    "scheduler-dead-letters": "What Scheduler cannot hand over is dropped: it is neither retried "
    "nor sent to the schedule's dead-letter queue.",
    "scheduler-template-period": "The time zone, key, start and end of a schedule in a template "
    "are ignored.",
    "scheduler-time-zones": "Every schedule runs by UTC, whatever its time zone.",
}
FORWARDED = ("EndDate", "KmsKeyArn", "ScheduleExpressionTimezone", "StartDate")


def template_period() -> None:
    """Forward what a template says of a schedule to Scheduler itself, which keeps to it."""
    scheduler = ministack("services.scheduler")

    @afterwards("AWS::Scheduler::Schedule")
    def complete(name: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        schedule = scheduler._schedules[f"{properties.get('GroupName', 'default')}/{name}"]
        schedule |= {key: properties[key] for key in FORWARDED if key in properties}


SHIMS = {"scheduler-template-period": template_period}
