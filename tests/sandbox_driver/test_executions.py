"""Executions start in waves, under their events' names; parked ones are not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox.executions import WAVE, Executions
from serverless_patterns.sandbox.sender import Event

from .fakes import driver

if TYPE_CHECKING:
    from collections.abc import Iterator


class StepFunctions:
    """Runs each execution until it was looked at twice; those named parked never end."""

    def __init__(self) -> None:
        self.looks: dict[str, int] = {}
        self.most_running = 0

    def start_execution(self, **arguments: str) -> None:
        self.looks[arguments["name"]] = 0
        running = [*self.running()]
        self.most_running = max(self.most_running, len(running))

    def running(self) -> Iterator[str]:
        return (name for name, looks in self.looks.items() if looks < 2 or "parked" in name)

    def get_paginator(self, _: str) -> StepFunctions:
        return self

    def describe_execution(self, **arguments: str) -> dict[str, Any]:
        name = arguments["executionArn"].rsplit(":", 1)[1]
        return {"name": name, "status": "FAILED", "error": "bad", "startDate": 0}

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        found = [*self.running()]
        for name in found:
            self.looks[name] += 1
        return [{"executions": [{"name": name} for name in found]}]


@pytest.fixture
def sfn(monkeypatch: pytest.MonkeyPatch) -> StepFunctions:
    monkeypatch.setattr("serverless_patterns.sandbox.queues.time.sleep", lambda _: None)
    return StepFunctions()


def test_a_wave_starts_when_no_more_than_a_wave_still_runs(sfn: StepFunctions) -> None:
    drive = driver(sfn)
    runs = Executions(drive)
    starts = [("machine", Event(f"e{number}", b"{}")) for number in range(5 * WAVE)]
    runs.start("orders", starts, suffix="-again")
    assert list(sfn.looks) == [f"e{number}-again" for number in range(5 * WAVE)]
    assert sfn.most_running <= 2 * WAVE
    assert drive.ledger.accepted.total() == 5 * WAVE
    runs.wait("all have ended")
    assert not [*sfn.running()]


def test_parked_executions_are_not_waited_for(sfn: StepFunctions) -> None:
    runs = Executions(driver(sfn), parked=lambda: 2)
    starts = [("machine", Event(name, b"{}")) for name in ("parked-1", "a", "parked-2", "b")]
    runs.start("orders", starts)
    runs.wait("all have ended or are parked")
    assert [*sfn.running()] == ["parked-1", "parked-2"]


def test_the_ends_of_executions_say_why(sfn: StepFunctions) -> None:
    runs = Executions(driver(sfn))
    runs.start("orders", [("a:stateMachine:m", Event(name, b"{}")) for name in ("a", "b")])
    assert runs.ends("a:stateMachine:m", {"b", "elsewhere"}) == [("b", "FAILED", "bad", "")]
