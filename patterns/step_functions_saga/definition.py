"""A saga's definition: read from its file, checked, and the permissions that its steps need.

The file is in Amazon States Language, with ``${Name}`` for each resource: the name of a table, the
URL of a queue, the ARN of a function.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from patterns.foundation import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs

    Resource = dynamodb.ITable | sqs.IQueue | lambda_.IFunction

# AWS Step Functions developer guide, "Service quotas": an Express execution ends after five
# minutes, an inline Map runs 40 items at a time.
EXPRESS_SECONDS = 300
MAX_CONCURRENCY = 40

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_CALLBACK = ".waitForTaskToken"
_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
_ITEM_ACTIONS = {
    f"arn:aws:states:::dynamodb:{name}Item": f"dynamodb:{name.capitalize()}Item"
    for name in ("get", "put", "update", "delete")
}
_TRANSACTION = "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems"
_INVOKE = "arn:aws:states:::lambda:invoke"
_SEND = "arn:aws:states:::sqs:sendMessage"


@dataclass(frozen=True)
class Step:
    """A Task state.

    Attributes:
        name: Name of the state; of one in a Map with the Map's name before it.
        state: The state itself.
        caught: Whether it, or a state around it, catches every error.
    """

    name: str
    state: Mapping[str, Any]
    caught: bool

    @property
    def service(self) -> str:
        """What it calls, without the suffix that says how to wait."""
        return str(self.state["Resource"]).removesuffix(_CALLBACK)

    @property
    def callback(self) -> bool:
        """Whether it waits for somebody to send its task token back."""
        return str(self.state["Resource"]).endswith(_CALLBACK)

    @property
    def longest_seconds(self) -> float:
        """The time it takes at most, with every try and every wait between two."""
        timeout = float(self.state["TimeoutSeconds"])
        return max((_with_retries(timeout, r) for r in self.state["Retry"]), default=timeout)


@dataclass(frozen=True)
class Definition:
    """A definition as it stands in its file."""

    text: str

    @classmethod
    def from_file(cls, path: str | Path) -> Definition:
        """Read ``path``."""
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the path may be text
            return cls(file.read())

    @cached_property
    def machine(self) -> dict[str, Any]:
        """The definition as data.

        Raises:
            ValueError: it is not JSON.
        """
        try:
            machine: dict[str, Any] = json.loads(self.text)
        except json.JSONDecodeError as error:
            raise ValueError(f"The definition is not JSON: {error}.") from error
        return machine

    @cached_property
    def placeholders(self) -> set[str]:
        """Names of the resources that it uses."""
        return set(_PLACEHOLDER.findall(self.text))

    @cached_property
    def steps(self) -> list[Step]:
        """Its Task states, those in Maps and Parallels too."""
        return [step for step, _ in _walk(self.machine, caught=False) if step]

    @cached_property
    def maps(self) -> dict[str, Mapping[str, Any]]:
        """Its Map states by name."""
        states = (state for _, state in _walk(self.machine, caught=False))
        return {name: state for name, state in states if state["Type"] == "Map"}

    def check(self, resources: Mapping[str, Resource], *, express: bool) -> None:
        """Refuse what would leave a saga in the middle, half done and not undone.

        Raises:
            ValueError: a timeout of the whole execution; a step without timeout, retries or catch;
                a function that outlives its step; a Map without a limit; in Express, a step that
                waits for a callback, or more than five minutes in all; a placeholder without a
                resource, or a resource without a placeholder.
        """
        _check_names(self.placeholders, resources)
        if "TimeoutSeconds" in self.machine:
            raise ValueError(
                f"The definition has TimeoutSeconds {self.machine['TimeoutSeconds']} for the whole "
                "execution: that ends it in the middle and undoes nothing. Leave it out; every "
                "step has its own."
            )
        for step in self.steps:
            _check_step(step)
            _check_function(step, resources)
        for name, state in self.maps.items():
            _check_map(name, state)
        if express:
            self._check_express()

    def _check_express(self) -> None:
        waiting = [step.name for step in self.steps if step.callback or _waits(step)]
        if waiting:
            raise ValueError(
                f"express is set, but {', '.join(waiting)} waits for a callback or for a job's "
                "end, which Express cannot. Leave express out, or send without waiting."
            )
        seconds = sum(step.longest_seconds for step in self.steps)
        if seconds > EXPRESS_SECONDS:
            raise ValueError(
                f"express is set, but with all retries the steps take up to {seconds:g} s, and an "
                f"Express execution ends after {EXPRESS_SECONDS} s in the middle, undoing nothing. "
                "Lower TimeoutSeconds and retries, or leave express out."
            )

    def grant(self, role: iam.IGrantable, resources: Mapping[str, Resource]) -> None:
        """Let ``role`` do what each step does, on the very resource that the step names.

        Raises:
            ValueError: a step calls a service that no permission is derived for.
        """
        keys: dict[str, kms.IKey] = {}
        for step in self.steps:
            for name, action in _permissions(step):
                resource = resources[name]
                # Not grant_invoke and the like: they add every version of a function.
                iam.Grant.add_to_principal(
                    grantee=role, actions=[action], resource_arns=[_arn(resource)]
                )
                key = getattr(resource, "encryption_key", None) or getattr(
                    resource, "encryption_master_key", None
                )
                if key is not None:
                    keys[name] = key
        for key in keys.values():
            key.grant(role, "kms:Decrypt", "kms:GenerateDataKey*")


def values(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Return what the placeholders become: table names, queue URLs, function ARNs."""
    return {name: _value(resource) for name, resource in resources.items()}


def _value(resource: Any) -> str:
    for attribute in ("queue_url", "function_arn", "table_name"):
        if hasattr(resource, attribute):
            return str(getattr(resource, attribute))
    raise ValueError(f"{resource} is no table, queue or function.")


def _arn(resource: Any) -> str:
    for attribute in ("queue_arn", "function_arn", "table_arn"):
        if hasattr(resource, attribute):
            return str(getattr(resource, attribute))
    raise ValueError(f"{resource} is no table, queue or function.")


def _permissions(step: Step) -> Iterator[tuple[str, str]]:
    """Yield resource name and IAM action for what a step does."""
    arguments = step.state.get("Arguments", {})
    if step.service in _ITEM_ACTIONS:
        yield _name(step, arguments["TableName"]), _ITEM_ACTIONS[step.service]
    elif step.service == _INVOKE:
        yield _name(step, arguments["FunctionName"]), "lambda:InvokeFunction"
    elif step.service == _SEND:
        yield _name(step, arguments["QueueUrl"]), "sqs:SendMessage"
    elif step.service == _TRANSACTION:
        for item in arguments["TransactItems"]:
            for kind, write in item.items():
                yield _name(step, write["TableName"]), _WRITES[kind]
    else:
        raise ValueError(
            f"Step {step.name} calls {step.service}, for which no permission is derived. Known "
            "are DynamoDB's four item calls and transactWriteItems, lambda:invoke and "
            "sqs:sendMessage. Do it in a function, or bring your own state_machine."
        )


def _name(step: Step, value: str) -> str:
    match = _PLACEHOLDER.fullmatch(value)
    if not match:
        raise ValueError(
            f"Step {step.name} names its resource {value!r}: give it as a placeholder such as "
            "${Orders}, so that the permission can be derived."
        )
    return match[1]


def _walk(
    machine: Mapping[str, Any], *, caught: bool, within: str = ""
) -> Iterator[tuple[Step | None, tuple[str, Mapping[str, Any]]]]:
    for name, state in machine["States"].items():
        path = f"{within}{name}"
        catches = caught or any("States.ALL" in c["ErrorEquals"] for c in state.get("Catch", []))
        yield Step(path, state, catches) if state["Type"] == "Task" else None, (path, state)
        inner = [state["ItemProcessor"]] if "ItemProcessor" in state else state.get("Branches", [])
        for part in inner:
            yield from _walk(part, caught=catches, within=f"{path}/")


def _check_names(placeholders: set[str], resources: Mapping[str, Resource]) -> None:
    if missing := sorted(placeholders - set(resources)):
        raise ValueError(
            f"The definition uses {', '.join(missing)}, which resources does not name. Add them "
            "to resources."
        )
    if unused := sorted(set(resources) - placeholders):
        raise ValueError(
            f"resources names {', '.join(unused)}, which the definition does not use. Leave them "
            "out, or use ${" + unused[0] + "} in the definition."
        )


def _check_step(step: Step) -> None:
    timeout, heartbeat = step.state.get("TimeoutSeconds"), step.state.get("HeartbeatSeconds")
    if not isinstance(timeout, int):
        raise ValueError(
            f"Step {step.name} has no TimeoutSeconds: an answer that never comes would hold the "
            "saga for a year. Give it one, as a whole number."
        )
    if heartbeat is not None and not heartbeat < timeout:
        raise ValueError(
            f"Step {step.name} has HeartbeatSeconds {heartbeat} and TimeoutSeconds {timeout}: the "
            "heartbeat must be the shorter one."
        )
    if not any("States.ALL" in retry["ErrorEquals"] for retry in step.state.get("Retry", [])):
        raise ValueError(
            f"Step {step.name} has no Retry for States.ALL: one lost packet would undo the whole "
            "saga. Give it one, with a limit."
        )
    for retry in step.state["Retry"]:
        if retry.get("MaxAttempts") != 0 and retry.get("JitterStrategy") != "FULL":
            raise ValueError(
                f"Step {step.name} retries without JitterStrategy FULL: after an outage all "
                "executions would try again at the same moment. Set it."
            )
    if not step.caught:
        raise ValueError(
            f"Step {step.name} has no Catch for States.ALL, nor has a state around it: what was "
            "done before it would not be undone. Give it one that begins to undo."
        )


def _check_function(step: Step, resources: Mapping[str, Resource]) -> None:
    if step.service != _INVOKE:
        return
    resource: Any = resources[_name(step, step.state["Arguments"]["FunctionName"])]
    function = rules.function_of(resource)
    if not isinstance(function, lambda_.Function):
        return
    limit = function.timeout or rules.DEFAULT_FUNCTION_TIMEOUT
    if limit.is_unresolved() or limit.to_seconds() < step.state["TimeoutSeconds"]:
        return
    raise ValueError(
        f"Step {step.name} gives up after {step.state['TimeoutSeconds']} s, but its function may "
        f"run for {limit.to_seconds():g} s: it would go on working while the saga already undoes "
        "it. Make the step's TimeoutSeconds the longer one."
    )


def _check_map(name: str, state: Mapping[str, Any]) -> None:
    limit = state.get("MaxConcurrency")
    if not isinstance(limit, int) or not 1 <= limit <= MAX_CONCURRENCY:
        raise ValueError(
            f"Map {name} has MaxConcurrency {limit}: allowed is 1 to {MAX_CONCURRENCY}. Without a "
            "limit one big order takes what all others need."
        )


def _waits(step: Step) -> bool:
    return ".sync" in step.service or ":activity:" in step.service


def _with_retries(timeout: float, retry: Mapping[str, Any]) -> float:
    attempts = int(retry.get("MaxAttempts", 3))
    wait, rate = float(retry.get("IntervalSeconds", 1)), float(retry.get("BackoffRate", 2))
    longest = float(retry.get("MaxDelaySeconds", EXPRESS_SECONDS))
    waits = sum(min(longest, wait * rate**attempt) for attempt in range(attempts))
    return timeout * (attempts + 1) + waits
