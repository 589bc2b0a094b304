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

from ..blocks import keys
from ..blocks.consumers import check_may_run, facts_of
from ..blocks.queues import ask_for_key, resource_of, retention_of
from ..checks import reject
from ..checks import sqs as sqs_checks
from ..checks import stepfunctions as checks
from ..limits import EXPRESS_MAX_DURATION, STATES_DEFAULT_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from aws_cdk import aws_dynamodb as dynamodb

    Resource = dynamodb.ITable | sqs.IQueue | lambda_.IFunction

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
_TRANSACTION = "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems"
_INVOKE = "arn:aws:states:::lambda:invoke"
_SEND = "arn:aws:states:::sqs:sendMessage"
# What a step calls, the argument that names its resource, and the permission for it.
_CALLS = {
    f"arn:aws:states:::dynamodb:{name}Item": ("TableName", f"dynamodb:{name.capitalize()}Item")
    for name in ("get", "put", "update", "delete")
} | {_INVOKE: ("FunctionName", "lambda:InvokeFunction"), _SEND: ("QueueUrl", "sqs:SendMessage")}
# What a resource must be for an action of a service: its kind, what a definition knows it by, and
# what a policy does.
_KINDS = {
    "lambda": ("function", "function_arn", "function_arn"),
    "sqs": ("queue", "queue_url", "queue_arn"),
    "dynamodb": ("table", "table_name", "table_arn"),
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
    def resource(self) -> str:
        """The ARN of its call."""
        return str(self.state["Resource"])

    @property
    def service(self) -> str:
        """The same without the suffix that says how to wait."""
        return self.resource.removesuffix(checks.CALLBACK)

    @property
    def longest_wait(self) -> float:
        """How long its message must be kept: while it waits for an answer, else 0."""
        if not self.resource.endswith(checks.CALLBACK):
            return 0
        return float(self.state.get("HeartbeatSeconds", self.state["TimeoutSeconds"]))

    @property
    def longest_seconds(self) -> float:
        """How long it takes at most, with every attempt and every wait between two."""
        timeout = float(self.state["TimeoutSeconds"])
        return max((_with_retries(timeout, r) for r in self.state["Retry"]), default=timeout)

    def permissions(self) -> Iterator[tuple[str, str]]:
        """Yield resource name and IAM action for what it does.

        Raises:
            ValueError: it calls a service that no permission is derived for, or names its resource
                in a way that only run time knows.
        """
        if self.service in _CALLS:
            argument, action = _CALLS[self.service]
            yield self._placeholder(self._argument(argument)), action
        elif self.service == _TRANSACTION:
            for kind, table in self._writes():
                yield self._placeholder(table), _WRITES[kind]
        else:
            raise ValueError(
                f"Step {self.name} calls {self.service}, for which no permission is derived. Known "
                "are DynamoDB's four item calls and transactWriteItems, lambda:invoke and "
                "sqs:sendMessage. Do it in a function, or bring your own state machine."
            )

    def _writes(self) -> Iterator[tuple[str, Any]]:
        """Yield kind and table of each write of a transaction."""
        items = self._argument("TransactItems")
        for item in items if isinstance(items, list) else [items]:
            kind, write = next(iter(item.items())) if _is_one_write(item) else (None, None)
            if kind not in _WRITES or not isinstance(write, Mapping) or "TableName" not in write:
                raise ValueError(
                    f"Step {self.name} has TransactItems {item!r}, whose kind of write and "
                    "TableName are not written out, so its permission cannot be derived. Write out "
                    "both for each item, or do it in a function."
                )
            yield kind, write["TableName"]

    def _argument(self, name: str) -> Any:
        arguments = self.state.get("Arguments")
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
    def states(self) -> list[tuple[str, Mapping[str, Any], bool]]:
        """Every state: its name, itself, and whether every error of it is caught."""
        return list(_walk(self.machine, caught=False))

    @cached_property
    def steps(self) -> list[Step]:
        """Its Task states, those in Maps and Parallels too."""
        return [Step(*found) for found in self.states if found[1]["Type"] == "Task"]

    def check(self, resources: Mapping[str, Resource], *, express: bool) -> None:
        """Reject a definition that could leave a saga half done and not undone.

        Raises:
            ValueError: a timeout of the whole execution; a step without timeout, retries or catch;
                a function that outlives its step or never runs; a queue that rejects the message
                or deletes it before the step stops waiting; a key that encrypts nothing; a Map
                without a limit; in Express, a step that waits for a callback, or more than five
                minutes in all; a placeholder without a resource, or a resource without a
                placeholder. Of an imported resource a warning says what it needs.
        """
        _check_names(set(_PLACEHOLDER.findall(self.text)), resources)
        if "TimeoutSeconds" in self.machine:
            raise ValueError(
                f"The definition has TimeoutSeconds {self.machine['TimeoutSeconds']} for the whole "
                "execution: that ends it in the middle and undoes nothing. Leave it out; every "
                "step has its own."
            )
        for step in self.steps:
            reject(checks.step(step.name, step.state, caught=step.caught))
        for name, steps in self._users(resources).items():
            _check_resource(name, resources[name], steps)
        for name, state, _ in self.states:
            if state["Type"] == "Map":
                reject(checks.map_concurrency(name, state.get("MaxConcurrency")))
        if express:
            self._check_express()

    def grant(self, role: iam.IGrantable, resources: Mapping[str, Resource]) -> None:
        """Let ``role`` do what each step does, on the very resource that the step names."""
        pairs = dict.fromkeys(pair for step in self.steps for pair in step.permissions())
        for name, action in pairs:
            arn = getattr(resources[name], _KINDS[action.split(":")[0]][2])
            # Not grant_invoke and the like: they add every version of a function.
            iam.Grant.add_to_principal(grantee=role, actions=[action], resource_arns=[arn])
        for name in dict.fromkeys(name for name, _ in pairs):
            key = keys.key_of(resources[name])
            if key is not None:
                key.grant(role, "kms:Decrypt", "kms:GenerateDataKey*")

    def _users(self, resources: Mapping[str, Resource]) -> dict[str, list[Step]]:
        """Return the steps that use each resource, by its name.

        Raises:
            ValueError: a resource is not of the kind that a step calls.
        """
        users: dict[str, list[Step]] = {}
        for step in self.steps:
            for name, action in step.permissions():
                kind, attribute, _ = _KINDS[action.split(":")[0]]
                if not hasattr(resources[name], attribute):
                    raise ValueError(
                        f"Step {step.name} needs a {kind}, but {name} of resources is a "
                        f"{type(resources[name]).__name__}. Give a {kind} by that name."
                    )
                users.setdefault(name, []).append(step)
        return users

    def _check_express(self) -> None:
        """Reject what an Express execution cannot do, or not within its five minutes.

        Source: https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html

        Raises:
            ValueError: a step that waits, or steps that take longer.
        """
        reject(*(checks.express_waits(step.name, step.resource) for step in self.steps))
        seconds = sum(step.longest_seconds for step in self.steps)
        if seconds > EXPRESS_MAX_DURATION:
            raise ValueError(
                f"express is set, but with all retries the steps take up to {seconds:g} s, and an "
                f"Express execution ends after {EXPRESS_MAX_DURATION} s in the middle, undoing "
                "nothing. Lower TimeoutSeconds and retries, or leave express out."
            )


def values(resources: Mapping[str, Resource]) -> dict[str, str]:
    """Return what the placeholders become: table names, queue URLs, function ARNs.

    Raises:
        ValueError: a resource is no table, queue or function.
    """
    return {name: _value(resource) for name, resource in resources.items()}


def _value(resource: Any) -> str:
    for _, attribute, _ in _KINDS.values():
        if hasattr(resource, attribute):
            return str(getattr(resource, attribute))
    raise ValueError(f"{resource} is no table, queue or function. Give one of these.")


def _is_one_write(item: Any) -> bool:
    return isinstance(item, Mapping) and len(item) == 1


def _walk(
    machine: Mapping[str, Any], *, caught: bool, within: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for name, state in machine["States"].items():
        path = f"{within}{name}"
        catches = caught or any("States.ALL" in c["ErrorEquals"] for c in state.get("Catch", []))
        yield path, state, catches
        mapped = state.get("ItemProcessor", state.get("Iterator"))  # the latter is its old name
        for part in [mapped] if mapped else state.get("Branches", []):
            yield from _walk(part, caught=catches, within=f"{path}/")


def _check_names(placeholders: set[str], resources: Mapping[str, Resource]) -> None:
    """Reject a placeholder without a resource, and a resource without a placeholder.

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


def _check_resource(name: str, resource: Any, steps: Sequence[Step]) -> None:
    """Reject a resource on which its steps would fail; warn of what an imported one needs.

    Raises:
        ValueError: its key encrypts nothing, or see ``_check_function`` and ``_check_queue``.
    """
    keys.check_key_of(resource)
    if steps[0].service == _INVOKE:
        _check_function(resource, steps)
    elif steps[0].service == _SEND:
        _check_queue(name, resource, steps)
    elif resource.node.default_child is None and resource.encryption_key is None:
        Annotations.of(resource).add_warning_v2(
            "serverless-patterns:imported-table",
            "This table is imported, so its key cannot be checked: if it has a customer key, "
            "import it by from_table_attributes() with encryption_key, so that its use is granted.",
        )


def _check_function(function: lambda_.IFunction, steps: Sequence[Step]) -> None:
    """Reject a function that never runs, or that continues when its step has given up.

    Raises:
        ValueError: it reserves 0 concurrent executions, or its timeout is not below the step's. Of
            an imported function a warning says so.
    """
    step = min(steps, key=lambda one: int(one.state["TimeoutSeconds"]))
    timeout = step.state["TimeoutSeconds"]
    name = f"The function of step {step.name}"
    check_may_run(name, function, "the step would fail in every attempt")
    facts = facts_of(function)
    if not facts.own:
        Annotations.of(function).add_warning_v2(
            "serverless-patterns:imported-step-function",
            "This function is imported, so its timeout and reserved concurrency cannot be checked: "
            f"it must end within {timeout} s, when step {step.name} gives up, so its timeout must "
            "be shorter, and it must not reserve 0 concurrent executions.",
        )
    elif facts.timeout is not None and facts.timeout >= timeout:
        raise ValueError(
            f"Step {step.name} gives up after {timeout} s, but its function may run for "
            f"{facts.timeout:g} s: it would continue to work while the saga already undoes it. "
            "Make the step's TimeoutSeconds the longer one."
        )


def _check_queue(name: str, queue: sqs.IQueue, steps: Sequence[Step]) -> None:
    """Reject a queue that rejects a message, or deletes it while its step waits for an answer.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

    Raises:
        ValueError: a FIFO queue without a group or deduplication id, or a retention period below
            the wait.
    """
    own = resource_of(queue)
    for step in steps if queue.fifo else ():
        arguments = step.state["Arguments"]
        reject(
            sqs_checks.fifo_message(
                f"Step {step.name}",
                name,
                group="MessageGroupId" in arguments,
                deduplication="MessageDeduplicationId" in arguments,
                by_content=bool(own.content_based_deduplication) if own else None,
            )
        )
    waiting = max(steps, key=lambda step: step.longest_wait)
    if own is None:
        _warn_of_imported_queue(queue, waiting)
        return
    kept = retention_of(queue)
    if kept is not None and kept < waiting.longest_wait:
        raise ValueError(
            f"{name} keeps messages for {kept:.0f} s, but step {waiting.name} waits "
            f"{waiting.longest_wait:.0f} s for an answer: the message and its task token would be "
            "gone while the saga still waits. Raise the queue's retention_period to that (14 days "
            "at most), or lower the step's TimeoutSeconds."
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
        f"{kept}.{unique}{ask_for_key(queue)}",
    )


def _with_retries(timeout: float, retry: Mapping[str, Any]) -> float:
    attempts = int(retry.get("MaxAttempts", STATES_DEFAULT_ATTEMPTS))
    wait, rate = float(retry.get("IntervalSeconds", 1)), float(retry.get("BackoffRate", 2))
    longest = float(retry.get("MaxDelaySeconds", EXPRESS_MAX_DURATION))
    waits = sum(min(longest, wait * rate**attempt) for attempt in range(attempts))
    return timeout * (attempts + 1) + waits
