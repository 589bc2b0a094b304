"""A function that is broken ends the scenario within seconds, with its newest error."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import health
from serverless_patterns.sandbox.health import BrokenError, Health, Outages
from tests.sandbox_driver.fakes import driver

if TYPE_CHECKING:
    from collections.abc import Sequence

BOOM = ("Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: boom")
DENIED = "lambdas.foundation.batch.NotDoneError: AccessDeniedException (dynamodb:PutItem)"
LOGGED = json.dumps(
    {"level": "ERROR", "location": "x:1", "message": "Batch", "service": "s", "failed": 2}
)


class Log:
    """The logs of a stack with one function, and a watch that looks at it at any time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[dict[str, Any]] = []
        stack: Any = SimpleNamespace(outages=Outages(), functions={"Store": "shop-Store-1"})
        self.stack = stack
        self.health = Health(stack)
        self.health._started -= timedelta(seconds=60)
        monkeypatch.setattr(health, "PAUSE_SECONDS", 0)
        monkeypatch.setattr(health, "events_since", self._since)

    def calls(self, *calls: Sequence[str], ago: float = 5, stream: str = "one") -> None:
        """Log calls, each of which prints these lines."""
        at = datetime.now(UTC) - timedelta(seconds=ago)
        for lines in calls:
            framed = ["START RequestId: r1 Version: 1", *lines, "END RequestId: r1", "REPORT r1"]
            self.events += [
                {"message": line, "timestamp": at.timestamp() * 1000, "logStreamName": stream}
                for line in framed
            ]

    def _since(self, _stack: Any, name: str, since: datetime) -> list[dict[str, Any]]:
        assert name == "shop-Store-1"
        return [event for event in self.events if event["timestamp"] >= since.timestamp() * 1000]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


@pytest.mark.parametrize(
    "lines",
    [BOOM, [LOGGED], ["[ERROR] Runtime.ImportModuleError: no"], ["Task timed out after 3 s"]],
)
def test_a_function_that_fails_every_time_is_broken(log: Log, lines: Sequence[str]) -> None:
    log.calls(*[lines] * (health.FAILURES - 1))
    log.health.look()
    log.calls(lines, stream="two")
    with pytest.raises(BrokenError, match="Store fails every time"):
        log.health.look()


def test_a_function_that_succeeds_at_times_is_not_broken(log: Log) -> None:
    log.calls(*[BOOM] * 50, ["fine"])
    log.health.look()


def test_a_function_that_is_denied_a_call_is_broken(log: Log) -> None:
    log.calls(["fine"], *[[DENIED]] * health.FAILURES)
    log.calls(*[["Traceback (most recent call last):", DENIED]] * health.FAILURES)
    with pytest.raises(BrokenError):
        log.health.look()


def test_failures_of_long_ago_do_not_count(log: Log) -> None:
    log.calls(*[BOOM] * 50, ago=health.WINDOW.total_seconds() + 1)
    log.health.look()


def test_what_is_broken_on_purpose_is_not_broken(log: Log) -> None:
    log.stack.outages.running.add("outage")
    log.calls(*[BOOM] * health.FAILURES)
    log.health.look()


def test_what_an_outage_left_behind_does_not_count(log: Log) -> None:
    log.stack.outages.running.add("outage")
    log.calls(*[BOOM] * health.FAILURES, ago=10)
    log.stack.outages.end("outage")
    log.stack.outages.ended -= timedelta(seconds=8)
    log.health.look()
    log.calls(*[BOOM] * health.FAILURES, ago=1)
    with pytest.raises(BrokenError):
        log.health.look()


def test_nobody_is_accused_before_there_was_time_to_succeed(log: Log) -> None:
    log.health._started = datetime.now(UTC) - health.AFTER / 2
    log.calls(*[BOOM] * 50, ago=1)
    log.health.look()


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (BOOM, "ValueError: boom"),
        ([LOGGED], "Batch failed=2"),
        ([LOGGED, *BOOM, DENIED, "ValueError: later"], DENIED),
    ],
)
def test_the_newest_error_is_told_with_its_request(
    log: Log, lines: Sequence[str], error: str
) -> None:
    log.calls(["fine"], BOOM, lines)
    told = log.health.newest_errors()
    assert told == ["Store: 2 of 3 calls failed, last r1:", f"  {error}"]


def test_a_wait_ends_as_soon_as_a_function_is_broken(log: Log) -> None:
    drive = driver()
    drive._health = log.health
    log.calls(*[BOOM] * health.FAILURES)
    with pytest.raises(BrokenError):
        drive.wait("the orders are stored", lambda: False, seconds=60)
    drive.wait("the orders are stored", lambda: True)
