"""State machines that cannot do what they say, or whose failures nobody sees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .. import template

DOCS = "https://docs.aws.amazon.com/step-functions/latest/dg"
TYPES = {
    "AWS::StepFunctions::StateMachine": ("StateMachineType", "LoggingConfiguration"),
    "AWS::Serverless::StateMachine": ("Type", "Logging"),
}
WAITING = (".sync", ".sync:2", ".waitForTaskToken")
LIMITS = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")


def _machines(scenario: template.Scenario) -> Iterator[tuple[template.Resource, bool, str]]:
    """Yield state machines whose type is known, whether they are Express, where their logs are."""
    for kind, (place, logging) in TYPES.items():
        for machine in scenario.of(kind):
            given = machine.get(place) or "STANDARD"
            if given in ("STANDARD", "EXPRESS"):
                yield machine, given == "EXPRESS", logging


def _tasks(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the Task states of a definition, at any depth, by their names."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, Mapping) and item.get("Type") == "Task":
                yield str(name), item
            yield from _tasks(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tasks(item)


def _definition(machine: template.Resource) -> Any:
    """Return a state machine's definition, where it stands in the template."""
    text = machine.get("DefinitionString")
    try:
        return json.loads(text) if isinstance(text, str) else machine.get("Definition")
    except ValueError:
        return None


class ExpressWaits(template.Rule):
    id = "E9196"
    shortdesc = "An Express state machine cannot wait for a job, a callback or an activity"
    description = (
        "Express workflows know request and response only: Step Functions rejects .sync, "
        ".waitForTaskToken and activities in them. Make the state machine STANDARD, or give the "
        "waiting part to one that is."
    )
    source_url = f"{DOCS}/choosing-workflow-type.html"
    tags = ["stepfunctions"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for machine, express, _ in _machines(scenario):
            for name, task in _tasks(_definition(machine)) if express else ():
                used = str(task.get("Resource"))
                activity = scenario.find(used, "AWS::StepFunctions::Activity")
                if used.endswith(WAITING) or activity or ":activity:" in used:
                    yield template.Finding(
                        machine,
                        f"{name} of the Express state machine {machine.id} waits for {used}, "
                        "which Step Functions rejects. Make it STANDARD.",
                    )


class ExpressWithoutLogs(template.Rule):
    id = "I9197"
    shortdesc = "An Express state machine should log its failures"
    description = (
        "Step Functions keeps no history of Express executions: without logs nothing tells which "
        "event failed, and why. Set LoggingConfiguration with the level ERROR or ALL."
    )
    source_url = f"{DOCS}/concepts-express-synchronous.html"
    tags = ["stepfunctions", "logs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for machine, express, logging in _machines(scenario):
            if express and (
                machine.get(logging) is None or machine.get(f"{logging}.Level") == "OFF"
            ):
                yield template.Finding(
                    machine,
                    f"{machine.id} is an Express state machine without logs: nothing tells which "
                    f"event failed. Set {logging}.",
                )


class CallbackWithoutTimeout(template.Rule):
    id = "I9198"
    shortdesc = "A task that waits for a callback should have a timeout"
    description = (
        "A callback that never comes leaves the execution waiting for up to a year, and no alarm "
        "fires. Set TimeoutSeconds or HeartbeatSeconds, and catch States.Timeout."
    )
    source_url = f"{DOCS}/sfn-best-practices.html"
    tags = ["stepfunctions"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for machine, express, _ in _machines(scenario):
            definition = _definition(machine)
            if express or (isinstance(definition, Mapping) and "TimeoutSeconds" in definition):
                continue
            for name, task in _tasks(definition):
                waits = str(task.get("Resource")).endswith(".waitForTaskToken")
                if waits and not any(limit in task for limit in LIMITS):
                    yield template.Finding(
                        machine,
                        f"{name} of {machine.id} waits for a callback without a timeout: one that "
                        "never comes leaves the execution waiting. Set TimeoutSeconds.",
                    )
