"""Starts executions of state machines in waves, and waits until they have ended or are parked."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import queues
from .sender import Event, Reply, in_waves, single

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from .driver import Driver

# Executions that run when the next are started: an emulator has a process for each function that
# runs.
WAVE = 4


class Executions:
    """Executions that a scenario starts, each named by its event's id.

    Args:
        drive: Of the scenario.
        parked: Counts executions that run and wait for a person. Default: there are none.
    """

    def __init__(self, drive: Driver, parked: Callable[[], int] = lambda: 0) -> None:
        self._drive, self._parked = drive, parked
        self._sfn = drive.client("stepfunctions")
        self._machines: set[str] = set()

    def start(
        self, title: str, starts: Iterable[tuple[str, Event]], *, suffix: str = ""
    ) -> list[Reply]:
        """Start executions in waves and return the replies.

        Args:
            title: What is started.
            starts: ARN of a state machine, and the event that is its input.
            suffix: Follows the ids in the names of the executions. Default: nothing.
        """

        def arguments(event: Event) -> dict[str, str]:
            machine = event.extra["machine"]
            self._machines.add(machine)
            name = f"{event.id}{suffix}"
            return {"stateMachineArn": machine, "name": name, "input": event.body.decode()}

        events = [
            replace(event, group="one wave after the other", extra={"machine": machine})
            for machine, event in starts
        ]
        start = in_waves(single(self._sfn.start_execution, arguments), lambda _: self._until(WAVE))
        return self._drive.send(title, start, events, batch=WAVE)

    def run(self, title: str, machine: str, events: Iterable[Event]) -> list[dict[str, Any]]:
        """Run Express executions side by side and return their answers, or ``error`` and its code.

        Each has a name of its own: Express does not look at names.
        """

        def arguments(event: Event) -> dict[str, str]:
            name = f"{event.id}-{secrets.token_hex(4)}"
            return {"stateMachineArn": machine, "name": name, "input": event.body.decode()}

        entry = single(self._sfn.start_sync_execution, arguments)
        replies = self._drive.send(title, entry, list(events))
        return [{"error": reply.refusal} if reply.refusal else reply.value for reply in replies]

    def wait(self, title: str) -> None:
        """Wait until every execution has ended or is parked."""
        with self._drive.report.step(f"Waiting until {title}"):
            self._until(0)

    def find(self, machine: str, name: str) -> dict[str, Any]:
        """Return the execution of a state machine with this name."""
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        found: dict[str, Any] = self._sfn.describe_execution(executionArn=arn)
        return found

    def seconds(self, machine: str, names: Collection[str]) -> list[float]:
        """Return how long the executions with these names took."""
        return [
            (found["stopDate"] - found["startDate"]).total_seconds()
            for found in self._list(machine)
            if found["name"] in names and found.get("stopDate")
        ]

    def _until(self, at_most: int) -> None:
        what = "until executions have ended or are parked"
        queues.until(lambda: self._busy() <= at_most, seconds=300, what=what)

    def _busy(self) -> int:
        running = {arn: len([*self._list(arn, statusFilter="RUNNING")]) for arn in self._machines}
        self._machines = {arn for arn, count in running.items() if count}
        return sum(running.values()) - self._parked()

    def _list(self, machine: str, **options: Any) -> Iterator[dict[str, Any]]:
        for page in self._sfn.get_paginator("list_executions").paginate(
            stateMachineArn=machine, **options
        ):
            yield from page["executions"]
