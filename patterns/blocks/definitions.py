"""A state machine's definition as it is in its file, and what its steps need of its resources.

The file is in Amazon States Language and JSONata, with ``${Name}`` for each resource: the name of a
table, the URL of a queue, the ARN of a function.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam

from ..checks import reject
from ..checks import sqs as sqs_checks
from ..checks import stepfunctions as checks
from ..limits import SQS_DEFAULT_RETENTION
from . import keys
from .consumers import check_may_run, facts_of
from .queues import ask_for_key, resource_of, retention_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    Resource = dynamodb.ITable | sqs.IQueue | lambda_.IFunction

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
_TRANSACTION = "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems"
# What a step calls, the argument that names its resource, and the permission for it.
_CALLS = {
    f"arn:aws:states:::dynamodb:{name}Item": ("TableName", f"dynamodb:{name.capitalize()}Item")
    for name in ("get", "put", "update", "delete")
} | {
    "arn:aws:states:::lambda:invoke": ("FunctionName", "lambda:InvokeFunction"),
    "arn:aws:states:::sqs:sendMessage": ("QueueUrl", "sqs:SendMessage"),
}
# What an action's service is called for, and the attribute by which a definition knows it.
_KINDS = {
    "lambda": ("function", "function_arn"),
    "sqs": ("queue", "queue_url"),
    "dynamodb": ("table", "table_name"),
}


@dataclass(frozen=True)
class State:
    """A state of a definition; a Task state is a step.

    Attributes:
        name: Its name; of one in a Map with the Map's name before it.
        fields: What the definition says of it.
        caught: Whether it, or a state around it, catches every error.
    """

    name: str
    fields: Mapping[str, Any]
    caught: bool

    @property
    def kind(self) -> str:
        """Its type, such as ``Task``."""
        return str(self.fields["Type"])

    @property
    def resource(self) -> str:
        """The ARN of a step's call."""
        return str(self.fields["Resource"])

    @property
    def longest_wait(self) -> float:
        """How long a step's message must be kept: while it waits for an answer, else 0."""
        if not self.resource.endswith(checks.CALLBACK):
            return 0
        return float(self.fields.get("HeartbeatSeconds", self.fields["TimeoutSeconds"]))

    def permissions(self) -> Iterator[tuple[str, str]]:
        """Yield resource name and IAM action for what a step does.

        Raises:
            ValueError: it calls a service that no permission is derived for, or names its resource
                in a way that only run time knows.
        """
        called = self.resource.removesuffix(checks.CALLBACK)
        if called in _CALLS:
            argument, action = _CALLS[called]
            yield self._placeholder(self._argument(argument)), action
        elif called == _TRANSACTION:
            items = self._argument("TransactItems")
            for item in items if isinstance(items, list) else [items]:
                yield self._write(item)
        else:
            raise ValueError(
                f"Step {self.name} calls {called}, for which no permission is derived. Known are "
                "DynamoDB's four item calls and transactWriteItems, lambda:invoke and "
                "sqs:sendMessage. Do it in a function, or bring your own state machine."
            )

    def _write(self, item: Any) -> tuple[str, str]:
        """Return resource name and IAM action for one write of a transaction."""
        match list(item.items()) if isinstance(item, Mapping) else item:
            case [(str(kind), {"TableName": table})] if kind in _WRITES:
                return self._placeholder(table), _WRITES[kind]
        raise ValueError(
            f"Step {self.name} has TransactItems {item!r}, whose kind of write and TableName are "
            "not written out, so its permission cannot be derived. Write out both for each item, "
            "or do it in a function."
        )

    def _argument(self, name: str) -> Any:
        arguments = self.fields.get("Arguments")
        if not isinstance(arguments, Mapping) or name not in arguments:
            raise ValueError(
                f"Step {self.name} has no {name} in its Arguments, so its permission cannot be "
                "derived. Name it there; the definition must be in JSONata."
            )
        return arguments[name]

    def _placeholder(self, value: Any) -> str:
        match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise ValueError(
                f"Step {self.name} names its resource {value!r}: give it as a placeholder such as "
                "${Orders}, so that the permission can be derived."
            )
        return match[1]


@dataclass(frozen=True)
class Definition:
    """A definition as it is in its file."""

    text: str

    @classmethod
    def from_file(cls, path: str | Path) -> Definition:
        """Read ``path``."""
        return cls(Path(path).read_text(encoding="utf-8"))

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
    def states(self) -> list[State]:
        """Every state, those in Maps and Parallels too."""
        return list(_walk(self.machine, caught=False))

    @property
    def steps(self) -> list[State]:
        """Its Task states."""
        return [state for state in self.states if state.kind == "Task"]

    def check(self, resources: Mapping[str, Resource]) -> None:
        """Reject resources on which its steps would fail; warn of what imported ones need.

        Raises:
            ValueError: a placeholder without a resource, or a resource without a placeholder; a
                resource of another kind than a step calls; a function that outlives its step or
                never runs; a queue that rejects the message or deletes it before the step stops
                waiting; a key that encrypts nothing.
        """
        _check_names(set(_PLACEHOLDER.findall(self.text)), resources)
        users: dict[str, list[State]] = {}
        for step in self.steps:
            for name, action in step.permissions():
                kind, attribute = _kind(action)
                if not hasattr(type(resources[name]), attribute):
                    raise ValueError(
                        f"Step {step.name} needs a {kind}, but {name} of resources is a "
                        f"{type(resources[name]).__name__}. Give a {kind} by that name."
                    )
                users.setdefault(name, []).append(step)
        for name, steps in users.items():
            _check_resource(name, resources[name], steps)

    def grant(self, role: iam.IGrantable, resources: Mapping[str, Resource]) -> None:
        """Let ``role`` do what each step does, on the very resource that the step names."""
        pairs = dict.fromkeys(pair for step in self.steps for pair in step.permissions())
        for name, action in pairs:
            arn = getattr(resources[name], f"{_kind(action)[0]}_arn")
            # Not grant_invoke and the like: they add every version of a function.
            iam.Grant.add_to_principal(grantee=role, actions=[action], resource_arns=[arn])
        for name in dict.fromkeys(name for name, _ in pairs):
            key = keys.key_of(resources[name])
            if key is not None:
                key.grant(role, "kms:Decrypt", "kms:GenerateDataKey*")


def values(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Return the values of the placeholders: table names, queue URLs, function ARNs.

    Raises:
        ValueError: a resource is no table, queue or function.
    """
    return {name: _value(resource) for name, resource in resources.items()}


def _value(resource: Any) -> str:
    for _, attribute in _KINDS.values():
        if hasattr(type(resource), attribute):  # of the class: reading one asks the kernel
            return str(getattr(resource, attribute))
    raise ValueError(f"{resource} is no table, queue or function. Give one of these.")


def _kind(action: str) -> tuple[str, str]:
    return _KINDS[action.partition(":")[0]]


def _walk(machine: Mapping[str, Any], *, caught: bool, within: str = "") -> Iterator[State]:
    for name, fields in machine["States"].items():
        path = f"{within}{name}"
        catches = caught or any("States.ALL" in c["ErrorEquals"] for c in fields.get("Catch", []))
        yield State(path, fields, catches)
        mapped = fields.get("ItemProcessor", fields.get("Iterator"))  # the latter is its old name
        for part in [mapped] if mapped else fields.get("Branches", []):
            yield from _walk(part, caught=catches, within=f"{path}/")


def _check_names(placeholders: set[str], resources: Mapping[str, Resource]) -> None:
    """Reject a placeholder without a resource, and a resource without a placeholder."""
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


def _check_resource(name: str, resource: Any, steps: Sequence[State]) -> None:
    """Reject a resource on which its steps would fail; warn of what an imported one needs."""
    keys.check_key_of(resource)
    if hasattr(type(resource), "function_arn"):
        _check_function(resource, steps)
    elif hasattr(type(resource), "queue_arn"):
        _check_queue(name, resource, steps)
    elif resource.node.default_child is None and resource.encryption_key is None:
        Annotations.of(resource).add_warning_v2(
            "serverless-patterns:imported-table",
            "This table is imported, so its key cannot be checked: if it has a customer key, "
            "import it by from_table_attributes() with encryption_key, so that its use is granted.",
        )


def _check_function(function: lambda_.IFunction, steps: Sequence[State]) -> None:
    """Reject a function that never runs, or that continues when its step has given up."""
    step = min(steps, key=lambda one: int(one.fields["TimeoutSeconds"]))
    timeout, facts = step.fields["TimeoutSeconds"], facts_of(function)
    otherwise = "the step would fail in every attempt"
    check_may_run(f"The function of step {step.name}", function, otherwise)
    reject(checks.outlives_step(step.name, timeout, facts.timeout))
    if not facts.own:
        Annotations.of(function).add_warning_v2(
            "serverless-patterns:imported-step-function",
            "This function is imported, so its timeout and reserved concurrency cannot be checked: "
            f"it must end within {timeout} s, when step {step.name} gives up, so its timeout must "
            "be shorter, and it must not reserve 0 concurrent executions.",
        )


def _check_queue(name: str, queue: sqs.IQueue, steps: Sequence[State]) -> None:
    """Reject a queue that rejects a message, or deletes it while its step waits for an answer."""
    own = resource_of(queue)
    for step in steps if queue.fifo else ():
        problem = sqs_checks.fifo_message(
            f"Step {step.name}",
            name,
            group="MessageGroupId" in step.fields["Arguments"],
            deduplication="MessageDeduplicationId" in step.fields["Arguments"],
            by_content=bool(own.content_based_deduplication) if own else None,
        )
        reject(problem)
    step = max(steps, key=lambda step: step.longest_wait)
    if own is not None:
        reject(checks.forgets_token(name, retention_of(queue), step.name, step.longest_wait))
        return
    kept = (
        f"step {step.name} waits {step.longest_wait:.0f} s for an answer, so it must keep messages "
        "at least that long"
        if step.longest_wait
        else "it keeps messages for its retention period only, "
        f"{SQS_DEFAULT_RETENTION} s unless it is raised"
    )
    unique = " It needs ContentBasedDeduplication, unless each step gives an id." * queue.fifo
    Annotations.of(queue).add_warning_v2(
        "serverless-patterns:imported-step-queue",
        "This queue is imported, so its settings cannot be checked: "
        f"{kept}.{unique}{ask_for_key(queue)}",
    )
