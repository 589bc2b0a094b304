"""Executions of state machines, and twins of state machines whose steps fail: for scenarios."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .sender import Event, Reply, in_waves, single

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from .driver import Driver
    from .target import Deployment

# Executions that run when the next are started: an emulator has a process for each function that
# runs.
WAVE = 4
UNAVAILABLE, ANSWER_LOST = "unavailable", "answer lost"
FAULTS = (UNAVAILABLE, ANSWER_LOST)


class Executions:
    """Executions that a scenario starts, each named by its event's id.

    ``parked`` counts executions that run and wait for a person. Default: there are none.
    """

    def __init__(self, drive: Driver, parked: Callable[[], int] = lambda: 0) -> None:
        self._drive, self._parked = drive, parked
        self._sfn = drive.client("stepfunctions")
        self._machines: set[str] = set()

    def start(
        self, title: str, starts: Iterable[tuple[str, Event]], *, suffix: str = ""
    ) -> list[Reply]:
        """Start executions in waves and return the replies.

        ``starts`` are ARNs of state machines, each with the event that is its input. ``suffix``
        follows the ids in the names of the executions.
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

    def outputs(self, machine: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what the executions with these names returned: nothing, if one has not ended."""
        return {name: json.loads(self.find(machine, name).get("output") or "{}") for name in names}

    def ends(self, machine: str, names: Collection[str]) -> list[tuple[str, ...]]:
        """Return name, status, error and cause of the executions with these names."""
        found = [
            self.find(machine, it["name"]) for it in self._list(machine) if it["name"] in names
        ]
        return [tuple(it.get(f, "") for f in ("name", "status", "error", "cause")) for it in found]

    def seconds(self, machine: str, names: Collection[str]) -> list[float]:
        """Return how long the executions with these names took."""
        return [
            (found["stopDate"] - found["startDate"]).total_seconds()
            for found in self._list(machine)
            if found["name"] in names and found.get("stopDate")
        ]

    def _until(self, at_most: int) -> None:
        what = "until executions have ended or are parked"
        self._drive.until(lambda: self._busy() <= at_most, seconds=300, what=what)

    def _busy(self) -> int:
        running = {arn: len([*self._list(arn, statusFilter="RUNNING")]) for arn in self._machines}
        self._machines = {arn for arn, count in running.items() if count}
        return sum(running.values()) - self._parked()

    def _list(self, machine: str, **options: Any) -> Iterator[dict[str, Any]]:
        pages = self._sfn.get_paginator("list_executions")
        for page in pages.paginate(stateMachineArn=machine, **options):
            yield from page["executions"]


@contextmanager
def twins(
    stack: Deployment, prefix: str, state_machine: str, answered_by: str
) -> Iterator[Callable[..., str]]:
    """Yield a function that makes a twin and returns its ARN; they are deleted at the end.

    Nothing of the stack is changed. A step fails in one of two ways: its resource does not exist,
    or it takes effect and its answer is lost.

    The function takes the ARN of a state machine in JSONata and faults: pairs of a step's name and
    one of ``FAULTS``. Twins retry once, after a second, and wait six seconds for a callback.

    Args:
        stack: Where the state machines are.
        prefix: What the twins' names begin with, of this run alone.
        state_machine: ARN of the one whose task tokens are answered.
        answered_by: The function that answers them; until the end its role allows the twins' too.
    """
    sfn = stack.client("stepfunctions")
    made: list[str] = []

    def twin(arn: str, *faults: tuple[str, str]) -> str:
        original = sfn.describe_state_machine(stateMachineArn=arn)
        definition = json.loads(original["definition"])
        for name, state in _states(definition):
            _hurry(state)
            for step, fault in faults:
                if name == step:
                    _break(state, fault)
        kept = {key: original[key] for key in ("roleArn", "type")} | {
            "name": f"{prefix}-{len(made):02}"
        }
        answer = sfn.create_state_machine(**kept, definition=json.dumps(definition))
        made.append(answer["stateMachineArn"])
        return made[-1]

    try:
        with _answers(stack, answered_by, state_machine, prefix):
            yield twin
    finally:
        for arn in made:
            sfn.delete_state_machine(stateMachineArn=arn)


@contextmanager
def _answers(stack: Deployment, function: str, state_machine: str, prefix: str) -> Iterator[None]:
    iam, lambda_ = stack.client("iam"), stack.client("lambda")
    role = lambda_.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[1]
    statement = {
        "Effect": "Allow",
        "Action": ["states:SendTaskSuccess", "states:SendTaskFailure"],
        "Resource": f"{state_machine.rsplit(':', 1)[0]}:{prefix}-*",
    }
    policy = {"RoleName": role, "PolicyName": f"{prefix}-twins"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**policy, PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(**policy)


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def _hurry(state: dict[str, Any]) -> None:
    """Shorten waits and retries, so that failures fit a scenario."""
    for retry in state.get("Retry", []):
        if retry["MaxAttempts"]:
            retry.update(MaxAttempts=1, IntervalSeconds=1, BackoffRate=1)
    if "HeartbeatSeconds" in state:
        state.update(TimeoutSeconds=6, HeartbeatSeconds=5)


def _break(state: dict[str, Any], fault: str) -> None:
    if fault == ANSWER_LOST:
        state["Output"] = "{% $error('the answer is lost') %}"
        return
    arguments = state["Arguments"]
    writes = [write for item in arguments.get("TransactItems", []) for write in item.values()]
    for target in writes or [arguments]:
        for key in ("TableName", "QueueUrl", "FunctionName"):
            if key in target:
                target[key] += "-unavailable"
