"""State machines that cannot do what they say, or whose failures nobody sees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import stepfunctions

from .. import roles
from ..template import Finding, Findings, Resource, Scenario, rule

TYPES = {
    "AWS::StepFunctions::StateMachine": ("StateMachineType", "LoggingConfiguration"),
    "AWS::Serverless::StateMachine": ("Type", "Logging"),
}
TIMEOUTS = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")


def _machines(scenario: Scenario) -> Iterator[tuple[Resource, bool, str]]:
    """Yield state machines of a known type, whether they are Express, and where they say logs."""
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


def _definition(machine: Resource) -> Any:
    """Return a state machine's definition when it is in the template."""
    text = machine.get("DefinitionString")
    try:
        return json.loads(text) if isinstance(text, str) else machine.get("Definition")
    except ValueError:
        return None


@rule("E9196", "stepfunctions", shared=stepfunctions.express_waits)
def express_waits(scenario: Scenario) -> Findings:
    """An Express state machine cannot wait for a job, a callback or an activity.

    Express workflows know request and response only: Step Functions rejects .sync,
    .waitForTaskToken and activities in them. Make the state machine STANDARD, or move the waiting
    part to one that is.
    """
    for machine, express, _ in _machines(scenario):
        for name, task in _tasks(_definition(machine)) if express else ():
            used = str(task.get("Resource"))
            activity = scenario.find(used, "AWS::StepFunctions::Activity")
            used = f"states:activity:{activity}" if activity else used
            yield Finding(machine, stepfunctions.express_waits(f"{name} of {machine}", used))


@rule("E9201", "pipes", "stepfunctions")
def pipe_waits_for_standard(scenario: Scenario) -> Findings:
    """A pipe cannot wait for a Standard state machine.

    A pipe calls its target synchronously by default, which only Express state machines allow. Set
    InvocationType of StepFunctionStateMachineParameters to FIRE_AND_FORGET, or make the state
    machine EXPRESS; an enrichment must be EXPRESS.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeTargetStateMachineParameters.html
    """
    for pipe in scenario.of(roles.PIPE):
        for place in ("Target", "Enrichment"):
            machine = scenario.find(pipe.get(place), *TYPES)
            if machine and roles.waits(pipe, place) and roles.express(machine) is False:
                fix = "Set its InvocationType to FIRE_AND_FORGET, or make" * (place == "Target")
                yield Finding(
                    pipe,
                    f"{pipe} waits for {machine}, which is a Standard state machine: Pipes rejects "
                    f"that. {fix or 'Make'} the state machine EXPRESS.",
                    (place,),
                )


@rule("I9197", "stepfunctions", "logs")
def express_without_logs(scenario: Scenario) -> Findings:
    """An Express state machine should log its failures.

    Step Functions keeps no history of Express executions: without logs, nothing shows which event
    failed, and why. Set LoggingConfiguration with the level ERROR or ALL.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-express-synchronous.html
    """
    for machine, express, logging in _machines(scenario):
        silent = machine.get(logging) is None or machine.get(f"{logging}.Level") == "OFF"
        if express and silent:
            given = f"Raise the Level of {logging}." if machine.get(logging) else f"Set {logging}."
            yield Finding(
                machine,
                f"{machine} is an Express state machine without logs: nothing says which event "
                f"failed. {given}",
            )


@rule("I9198", "stepfunctions", shared=stepfunctions.has_timeout)
def callback_without_timeout(scenario: Scenario) -> Findings:
    """A task that waits for a callback should have a timeout.

    If the callback never arrives, the execution keeps waiting, and no alarm fires. Set
    TimeoutSeconds or HeartbeatSeconds, and catch States.Timeout.
    """
    for machine, express, _ in _machines(scenario):
        definition = _definition(machine)
        if express or (isinstance(definition, Mapping) and "TimeoutSeconds" in definition):
            continue
        for name, task in _tasks(definition):
            waits = str(task.get("Resource")).endswith(stepfunctions.CALLBACK)
            if waits and not any(limit in task for limit in TIMEOUTS):
                yield Finding(machine, stepfunctions.has_timeout(f"{name} of {machine}", None))
