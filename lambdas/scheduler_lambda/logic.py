"""The rules of a reminder: what may be asked for, which tick is which.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..foundation import checks, strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message

_TIME = re.compile(r"2[01]\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
MAX_VERSION = 10**9


@dataclass(frozen=True)
class Change:
    """When to remind of an order: from ``version`` on at ``remind_at``; None: not any more."""

    order_id: str
    customer_id: str
    version: int
    remind_at: datetime | None


def tick(change: Change, remind_at: datetime) -> dict[str, Any]:
    """Return what the function is to get; Scheduler fills in the execution and the attempt.

    The time is the one that was asked for: a reminder has the same name whenever it comes. Source:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    return {
        "schedule": change.order_id,
        "scheduled_at": f"{remind_at:%Y-%m-%dT%H:%M:%SZ}",
        "execution": "<aws.scheduler.execution-id>",
        "attempt": "<aws.scheduler.attempt-number>",
        "input": {
            "kind": "reminder",
            "order_id": change.order_id,
            "customer_id": change.customer_id,
            "version": change.version,
        },
    }


@dataclass(frozen=True)
class Tick:
    """A run of the function: of which schedule, at which time, with which input."""

    schedule: str
    scheduled_at: datetime
    execution: str
    given: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Name of the tick: the same one however often it comes."""
        return f"{self.schedule}#{self.scheduled_at:%Y-%m-%dT%H:%M:%SZ}"

    def late(self, now: datetime) -> int:
        """Return how many seconds it comes after its time."""
        return max(0, int((now - self.scheduled_at).total_seconds()))


def parse_change(message: Message) -> Change:
    """Return what a message asks for.

    Raises:
        RefusedError: it is not valid.
    """
    names = ("order_id", "customer_id", "version", "remind_at")
    found = checks.fields(strict_json.parse(message.body), "The change", *names)
    at = found["remind_at"]
    return Change(
        checks.identifier(found["order_id"], "order_id"),
        checks.identifier(found["customer_id"], "customer_id"),
        checks.whole(found["version"], "version", MAX_VERSION),
        None if at is None else _time(at, "remind_at"),
    )


def parse_tick(event: Any) -> Tick:
    """Return a tick.

    Raises:
        RefusedError: it is none, such as one whose context attributes nobody has filled in.
    """
    names = ("schedule", "scheduled_at", "execution", "attempt", "input")
    found = checks.fields(event, "The tick", *names)
    if not isinstance(found["input"], dict):
        raise RefusedError("field", "input must be an object.")
    return Tick(
        checks.text(found["schedule"], "schedule", 256),
        _time(found["scheduled_at"], "scheduled_at"),
        checks.text(found["execution"], "execution", 64),
        found["input"],
    )


def version_of(request: Mapping[str, Any]) -> int:
    """Return the version of the change that made a schedule; 0 of one that is not ours."""
    try:
        return int(strict_json.parse(request["Target"]["Input"])["input"]["version"])
    except (LookupError, TypeError, ValueError, RefusedError):
        return 0


def _time(value: Any, where: str) -> datetime:
    try:
        if isinstance(value, str) and _TIME.fullmatch(value):
            return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    raise RefusedError("time", f"{where} must be a time in UTC, such as 2027-01-31T08:00:00Z.")
