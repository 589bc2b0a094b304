"""A saga's definition: read from its file, checked, and the permissions that its steps need.

The file is in Amazon States Language, with ``${Name}`` for each resource: the name of a table, the
URL of a queue, the ARN of a function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from ..foundation import keys, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_kms as kms

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
# What a resource must be for an action of a service, and the attribute that it is known by.
_KINDS = {
    "lambda": ("function", "function_arn"),
    "sqs": ("queue", "queue_url"),
    "dynamodb": ("table", "table_name"),
}


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
    def longest_wait(self) -> float:
        """The time that a message of it must be kept: what it waits for an answer, else 0."""
        state = self.state
        return state.get("HeartbeatSeconds", state["TimeoutSeconds"]) if self.callback else 0

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
            raise ValueError(
                f"The definition is not JSON: {error}. Write it in Amazon States Language."
            ) from error
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
                a function that outlives its step or may not run; a queue that refuses the message
                or forgets it before the step stops waiting; a key that encrypts nothing; a Map
                without a limit; in Express, a step that waits for a callback, or more than five
                minutes in all; a placeholder without a resource, or a resource without a
                placeholder. Of what is imported a warning says what it needs.
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
        for name, steps in self._users(resources).items():
            _check_resource(name, resources[name], steps)
        for name, state in self.maps.items():
            _check_map(name, state)
        if express:
            self._check_express()

    def _users(self, resources: Mapping[str, Resource]) -> dict[str, list[Step]]:
        """Return the steps that use each resource, by its name."""
        users: dict[str, list[Step]] = {}
        for step in self.steps:
            for name, action in _permissions(step):
                _check_kind(step, name, resources[name], action)
                users.setdefault(name, []).append(step)
        return users

    def _check_express(self) -> None:
        """Refuse what an Express execution cannot do, or not within its five minutes.

        Raises:
            ValueError: a step that waits (lint E9196; AWS Step Functions developer guide,
                "Choosing workflow type"), or steps that take longer.
        """
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
        found: dict[str, kms.IKey] = {}
        for step in self.steps:
            for name, action in _permissions(step):
                resource = resources[name]
                # Not grant_invoke and the like: they add every version of a function.
                iam.Grant.add_to_principal(
                    grantee=role, actions=[action], resource_arns=[_arn(resource)]
                )
                key = keys.key_of(resource)
                if key is not None:
                    found[name] = key
        for key in found.values():
            key.grant(role, "kms:Decrypt", "kms:GenerateDataKey*")


def values(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Return what the placeholders become: table names, queue URLs, function ARNs."""
    return {name: _value(resource) for name, resource in resources.items()}


def _value(resource: Any) -> str:
    return _attribute(resource, "queue_url", "function_arn", "table_name")


def _arn(resource: Any) -> str:
    return _attribute(resource, "queue_arn", "function_arn", "table_arn")


def _attribute(resource: Any, *names: str) -> str:
    for name in names:
        if hasattr(resource, name):
            return str(getattr(resource, name))
    raise ValueError(f"{resource} is no table, queue or function. Give one of these.")


def _permissions(step: Step) -> Iterator[tuple[str, str]]:
    """Yield resource name and IAM action for what a step does."""
    if step.service in _ITEM_ACTIONS:
        yield _name(step, _argument(step, "TableName")), _ITEM_ACTIONS[step.service]
    elif step.service == _INVOKE:
        yield _name(step, _argument(step, "FunctionName")), "lambda:InvokeFunction"
    elif step.service == _SEND:
        yield _name(step, _argument(step, "QueueUrl")), "sqs:SendMessage"
    elif step.service == _TRANSACTION:
        for kind, table in _writes(step):
            yield _name(step, table), _WRITES[kind]
    else:
        raise ValueError(
            f"Step {step.name} calls {step.service}, for which no permission is derived. Known "
            "are DynamoDB's four item calls and transactWriteItems, lambda:invoke and "
            "sqs:sendMessage. Do it in a function, or bring your own state_machine."
        )


def _writes(step: Step) -> Iterator[tuple[str, Any]]:
    """Yield kind and table of each write of a transaction."""
    items = _argument(step, "TransactItems")
    for item in items if isinstance(items, list) else [items]:
        match item:
            case {**writes} if len(writes) == 1:
                ((kind, write),) = writes.items()
            case _:
                kind, write = None, item
        if kind not in _WRITES or not isinstance(write, Mapping) or "TableName" not in write:
            raise ValueError(
                f"Step {step.name} has TransactItems {item!r}, whose kind of write and TableName "
                "are not written out, so its permission cannot be derived. Write out both for "
                "each item, or do it in a function."
            )
        yield kind, write["TableName"]


def _argument(step: Step, name: str) -> Any:
    arguments = step.state.get("Arguments")
    if not isinstance(arguments, Mapping) or name not in arguments:
        raise ValueError(
            f"Step {step.name} has no {name} in its Arguments, so its permission cannot be "
            "derived. Name it there; the definition must be in JSONata."
        )
    return arguments[name]


def _name(step: Step, value: Any) -> str:
    match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
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
        mapped = state.get("ItemProcessor", state.get("Iterator"))  # the latter is its old name
        for part in [mapped] if mapped else state.get("Branches", []):
            yield from _walk(part, caught=catches, within=f"{path}/")


def _check_names(placeholders: set[str], resources: Mapping[str, Resource]) -> None:
    """Refuse a placeholder without a resource, and a resource without a placeholder.

    Raises:
        ValueError: there is one.
    """
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
    """Refuse a step that could hold the saga, or fail without anything being undone.

    Raises:
        ValueError: no timeout, a heartbeat that is not shorter, no retries, retries without
            jitter, or no catch (lint I9198; AWS Step Functions developer guide, "Best practices
            for Step Functions").
    """
    timeout, heartbeat = step.state.get("TimeoutSeconds"), step.state.get("HeartbeatSeconds")
    if not isinstance(timeout, int):
        raise ValueError(
            f"Step {step.name} has no TimeoutSeconds: an answer that never comes would hold the "
            "saga for a year. Give it one, as a whole number."
        )
    if heartbeat is not None and not (isinstance(heartbeat, int) and heartbeat < timeout):
        raise ValueError(
            f"Step {step.name} has HeartbeatSeconds {heartbeat} and TimeoutSeconds {timeout}: the "
            "heartbeat must be the shorter one, and a whole number. Lower it."
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


def _check_kind(step: Step, name: str, resource: Any, action: str) -> None:
    """Refuse a resource that a step cannot do its action on.

    Raises:
        ValueError: it is not what the step calls.
    """
    kind, attribute = _KINDS[action.split(":")[0]]
    if not hasattr(resource, attribute):
        raise ValueError(
            f"Step {step.name} needs a {kind}, but {name} of resources is a "
            f"{type(resource).__name__}. Give a {kind} by that name."
        )


def _check_resource(name: str, resource: Resource, steps: Sequence[Step]) -> None:
    """Refuse a resource on which its steps would fail.

    Raises:
        ValueError: its key encrypts nothing, or see ``_check_function`` and ``_check_queue``.
    """
    keys.check_key_of(resource)
    match steps[0].service:
        case service if service == _INVOKE:
            _check_function(resource, steps)  # type: ignore[arg-type]
        case service if service == _SEND:
            _check_queue(name, resource, steps)  # type: ignore[arg-type]
        case _:
            _warn_of_imported_table(resource)


def _check_function(resource: lambda_.IFunction, steps: Sequence[Step]) -> None:
    """Refuse a function that may not run, or goes on when its step has given up.

    Raises:
        ValueError: it reserves 0 concurrent executions (lint W9195), or its timeout is not below
            the step's. Of an imported function a warning says so.
    """
    step = min(steps, key=lambda one: int(one.state["TimeoutSeconds"]))
    rules.check_may_run(
        f"The function of step {step.name}", resource, "the step would fail in every try"
    )
    function = rules.function_of(resource)
    if not isinstance(function, lambda_.Function):
        Annotations.of(resource).add_warning_v2(
            "serverless-patterns:imported-step-function",
            "This function is imported, so its timeout and reserved concurrency cannot be checked: "
            f"it must end within {step.state['TimeoutSeconds']} s, when step {step.name} gives up, "
            "so its timeout must be shorter, and it must not reserve 0 concurrent executions.",
        )
        return
    limit = function.timeout or rules.DEFAULT_FUNCTION_TIMEOUT
    if limit.is_unresolved() or limit.to_seconds() < step.state["TimeoutSeconds"]:
        return
    raise ValueError(
        f"Step {step.name} gives up after {step.state['TimeoutSeconds']} s, but its function may "
        f"run for {limit.to_seconds():g} s: it would go on working while the saga already undoes "
        "it. Make the step's TimeoutSeconds the longer one."
    )


def _check_queue(name: str, queue: sqs.IQueue, steps: Sequence[Step]) -> None:
    """Refuse a queue that refuses a message, or forgets it while its step waits for an answer.

    Raises:
        ValueError: a FIFO queue without what it needs, or a retention period below the wait
            (Amazon SQS developer guide, "Configuring queue parameters").
    """
    resource = queue.node.default_child
    own = resource if isinstance(resource, sqs.CfnQueue) else None
    for step in steps:
        if queue.fifo:
            _check_fifo(name, own, step)
    waiting = max(steps, key=lambda step: step.longest_wait)
    if own is None:
        _warn_of_imported_queue(queue, waiting)
        return
    retention = rules.retention_of(own)
    if retention.is_unresolved() or retention.to_seconds() >= waiting.longest_wait:
        return
    raise ValueError(
        f"{name} keeps messages for {retention.to_seconds():.0f} s, but step {waiting.name} waits "
        f"{waiting.longest_wait:.0f} s for an answer: the message and its task token would be gone "
        "while the saga still waits. Raise the queue's retention_period to that (14 days at most), "
        "or lower the step's TimeoutSeconds."
    )


def _check_fifo(name: str, queue: sqs.CfnQueue | None, step: Step) -> None:
    """Refuse a message that a FIFO queue does not take.

    Raises:
        ValueError: no MessageGroupId, or no deduplication id (lint E9138; Amazon SQS API
            reference, "SendMessage").
    """
    arguments = step.state["Arguments"]
    if "MessageGroupId" not in arguments:
        raise ValueError(
            f"{name} is a FIFO queue, but step {step.name} gives no MessageGroupId: SQS refuses "
            "every message without a group. Give one in the step's Arguments, or use a standard "
            "queue."
        )
    by_content = queue is None or queue.content_based_deduplication
    if "MessageDeduplicationId" not in arguments and not by_content:
        raise ValueError(
            f"{name} is a FIFO queue that does not deduplicate by content, but step {step.name} "
            "gives no MessageDeduplicationId: SQS refuses every message without one. Give one in "
            "the step's Arguments, or set content_based_deduplication on the queue."
        )


def _warn_of_imported_queue(queue: sqs.IQueue, step: Step) -> None:
    kept = (
        f"step {step.name} waits {step.longest_wait:.0f} s for an answer, so it must keep messages "
        "at least that long"
        if step.longest_wait
        else "it keeps messages for its retention period only, 4 days unless it is raised"
    )
    unique = " It needs ContentBasedDeduplication, unless each step gives an id." * queue.fifo
    Annotations.of(queue).add_warning_v2(
        "serverless-patterns:imported-step-queue",
        "This queue is imported, so its settings cannot be checked: "
        f"{kept}.{unique}{rules.ask_for_key(queue)}",
    )


def _warn_of_imported_table(table: Any) -> None:
    if table.node.default_child is None and table.encryption_key is None:
        Annotations.of(table).add_warning_v2(
            "serverless-patterns:imported-table",
            "This table is imported, so its key cannot be checked: if it has a customer key, "
            "import it by from_table_attributes() with encryption_key, so that its use is granted.",
        )


def _check_map(name: str, state: Mapping[str, Any]) -> None:
    """Refuse a Map that one big input could run without a limit.

    Raises:
        ValueError: no MaxConcurrency of 1 to 40 (AWS Step Functions developer guide, "Map workflow
            state").
    """
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
