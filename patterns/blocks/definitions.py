"""A state machine's definition as it is in its file, and what its states need of its resources.

The file is in Amazon States Language and JSONata, with ``${Name}`` for each resource: the name of a
table or bucket, the URL of a queue, the ARN of a function.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam

from ..checks import lambda_ as lambda_checks
from ..checks import period, reject
from ..checks import sqs as sqs_checks
from ..checks import stepfunctions as checks
from ..limits import SQS_DEFAULT_RETENTION
from . import keys, places
from .consumers import facts_of
from .findings import acknowledge_wildcards
from .queues import ask_for_key, resource_of, retention_of
from .states import CALL, PLACEHOLDER, State, check_fields
from .values import child_of, expect, has, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    Resource = dynamodb.ITable | sqs.IQueue | lambda_.IFunction | s3.IBucket

# Not what a placeholder may be called, but what other tools replace.
_OTHER_PLACEHOLDER = re.compile(r"\$\{(?:\w+[:.-])+:?\w+\}")
# What an action's service is called for, and the attribute by which a definition knows it.
_KINDS = {
    "lambda": ("function", "function_arn"),
    "sqs": ("queue", "queue_url"),
    "dynamodb": ("table", "table_name"),
    "s3": ("bucket", "bucket_name"),
}


@dataclass(frozen=True)
class Definition:
    """A definition as it is in its file."""

    text: str

    @classmethod
    def from_file(cls, path: str | Path) -> Definition:
        """Read ``path``.

        Raises:
            ValueError: there is no such file, or it is no text.
        """
        try:
            return cls(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"The definition {path} cannot be read: {error}. Give the path of a file in Amazon "
                "States Language; a relative one starts at the working directory."
            ) from error

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
        """Every state, those in Maps and Parallels too.

        Raises:
            ValueError: it is not in Amazon States Language.
        """
        return list(_walk(self.machine, State("", {}, frozenset(), "JSONPath")))

    @property
    def steps(self) -> list[State]:
        """Its Task states."""
        return [state for state in self.states if state.kind == "Task"]

    @property
    def starts_executions(self) -> bool:
        """Whether it has a distributed Map, which starts executions of the same state machine."""
        return any(state.distributed for state in self.states)

    @property
    def for_any_partition(self) -> str:
        """The text with a placeholder for what each step calls, whose ARN names the partition."""
        return CALL.sub(lambda found: f"${{{_call_name(found[1])}}}", self.text)

    def values(self, scope: Construct, resources: Mapping[str, Resource]) -> dict[str, str]:
        """Return what to put in the place of the placeholders of ``for_any_partition``.

        That is ARNs of functions and calls, names of tables and buckets, URLs of queues.
        """
        partition = stack_of(scope).partition
        calls = dict.fromkeys(CALL.findall(self.text))
        return {_call_name(call): f"arn:{partition}:states:::{call}" for call in calls} | {
            name: _value(resource) for name, resource in resources.items()
        }

    def check(self, resources: Mapping[str, Resource]) -> None:
        """Reject resources on which its states would fail; warn of what imported ones need.

        Raises:
            ValueError: a placeholder without a resource, or a resource without a placeholder; a
                resource of another kind than a state uses; a function that outlives its step or
                never runs; a queue that rejects the message or deletes it before the step stops
                waiting; a key that encrypts nothing.
        """
        _check_names(self.text, resources)
        users: dict[str, list[State]] = {}
        for state in self.states:
            for name, action, _ in state.permissions():
                kind, attribute = _kind(action)
                if not has(resources[name], attribute):
                    raise ValueError(
                        f"{state.title} needs a {kind}, but {name} of resources is a "
                        f"{type(resources[name]).__name__}. Give a {kind} by that name."
                    )
                users.setdefault(name, []).append(state)
        for name, states in users.items():
            _check_resource(name, resources[name], states)

    def grant(self, machine: Any, resources: Mapping[str, Resource]) -> None:
        """Let a state machine do what each state does, on the very resource that it names."""
        wanted = dict.fromkeys(one for state in self.states for one in state.permissions())
        arns = {
            name: str(getattr(resources[name], f"{_kind(action)[0]}_arn"))
            for name, action in {name: action for name, action, _ in wanted}.items()
        }
        for name, action, objects in wanted:
            arn = f"{arns[name]}/{objects}" if objects else arns[name]
            # Not grant_invoke and the like: they add every version of a function.
            iam.Grant.add_to_principal(grantee=machine, actions=[action], resource_arns=[arn])
            if objects.endswith("*"):
                acknowledge_wildcards(machine, "A Map names objects only when it runs.", arn)
        for name in dict.fromkeys(one.name for one in wanted):
            key = keys.key_of(resources[name])
            if key is not None:
                key.grant(machine, "kms:Decrypt", "kms:GenerateDataKey*")


def _call_name(call: str) -> str:
    """Return the placeholder of a call: ``CallLambdaInvoke``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"\W", f"call:{call}"))


def _value(resource: Any) -> str:
    (value,) = (
        str(getattr(resource, attribute))
        for _, attribute in _KINDS.values()
        if has(resource, attribute)
    )
    return value


def _kind(action: str) -> tuple[str, str]:
    return _KINDS[action.partition(":")[0]]


def _walk(machine: Any, around: State) -> Iterator[State]:
    """Yield the states of a definition, or of a part of one, and what is inside of each.

    Raises:
        ValueError: it is not in Amazon States Language.
    """
    within = f"{around.name}/" if around.name else ""
    states = machine.get("States") if isinstance(machine, Mapping) else None
    if not isinstance(states, Mapping):
        raise ValueError(
            f"{around.title if within else 'The definition'} has no States. Write it in Amazon "
            "States Language."
        )
    language = machine.get("QueryLanguage", around.language)
    for name, fields in states.items():
        state = _state(f"{within}{name}", fields, around.caught, language)
        yield state
        if state.distributed and "States.ALL" in state.caught:
            # Its items run in executions of their own: whatever ends one fails the Map, with
            # States.ExceedToleratedFailureThreshold.
            state = replace(state, caught=state.caught | {checks.DATA_LIMIT})
        for part in checks.parts(fields):
            yield from _walk(part, state)
    reject(checks.leads_nowhere(around.title if within else "The definition", machine))


def _state(path: str, fields: Any, caught: frozenset[str], language: str) -> State:
    check_fields(f"State {path}", fields, ["Type"])
    check_fields(f"State {path}", fields, ["Resource"] * (fields["Type"] == "Task"))
    reject(*(checks.all_is_last(path, key, fields.get(key, ())) for key in ("Retry", "Catch")))
    caught |= {error for catch in fields.get("Catch", ()) for error in catch["ErrorEquals"]}
    return State(path, fields, caught, fields.get("QueryLanguage", language))


def _check_names(text: str, resources: Mapping[str, Resource]) -> None:
    """Reject a placeholder without a resource, one without a placeholder, or of another type."""
    placeholders = set(PLACEHOLDER.findall(text))
    if other := sorted(set(_OTHER_PLACEHOLDER.findall(text))):
        raise ValueError(
            f"The definition has {', '.join(other)}, which nothing replaces. Use ${{Name}} with "
            "letters, digits and _, and name the resource in resources."
        )
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
    for name, resource in resources.items():
        expect(f"resources[{name!r}]", resource, "ITable", "IQueue", "IFunction", "IBucket")


def check_places(scope: Construct, resources: Mapping[str, Resource]) -> None:
    """Reject a resource that a state machine does not reach.

    Source:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-access-cross-acct-resources.html

    Args:
        scope: Where the state machine is.
        resources: What its states use.

    Raises:
        ValueError: a resource is in another account or Region.
    """
    for name, resource in resources.items():
        places.check_here(
            scope,
            f"{name} of resources",
            resource,
            "a state machine calls its own account and Region. Call a function that reaches it, or "
            "bring your own state machine.",
        )
        places.check_key_here(scope, keys.key_of(resource))


def _check_resource(name: str, resource: Any, states: Sequence[State]) -> None:
    """Reject a resource on which its states would fail; warn of what an imported one needs."""
    keys.check_key_of(resource)
    if has(resource, "function_arn"):
        _check_function(resource, states)
    elif has(resource, "queue_arn"):
        _check_queue(name, resource, states)
    elif child_of(resource) is None and resource.encryption_key is None:
        kind = "table" if has(resource, "table_arn") else "bucket"
        Annotations.of(resource).add_warning_v2(
            f"serverless-patterns:imported-{kind}",
            f"This {kind} is imported, so its key cannot be checked."
            f"{keys.ask_for_key(None, f'from_{kind}_attributes')}",
        )


def _check_function(function: lambda_.IFunction, steps: Sequence[State]) -> None:
    """Reject a function that never runs, or that continues when its step has given up."""
    step, facts = min(steps, key=lambda one: one.timeout), facts_of(function)
    otherwise = "the step would fail in every attempt"
    reject(
        lambda_checks.never_runs(f"The function of step {step.name}", facts.reserved, otherwise),
        checks.outlives_step(step.name, step.timeout, facts.timeout),
    )
    if not facts.own:
        after = f", after {period(step.timeout)}" if step.timeout < math.inf else ""
        Annotations.of(function).add_warning_v2(
            "serverless-patterns:imported-step-function",
            "This function is imported, so its timeout and reserved concurrency cannot be checked: "
            f"it must end before step {step.name} gives up{after}, and must not reserve 0 "
            "concurrent executions.",
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
    if step.longest_wait == math.inf:
        reject(checks.has_timeout(step.title, None))
    if own is not None:
        reject(checks.forgets_token(name, retention_of(queue), step.name, step.longest_wait))
        return
    kept = (
        f"step {step.name} waits {period(step.longest_wait)} for an answer, so it must keep "
        "messages at least that long"
        if step.longest_wait
        else "it keeps messages for its retention period only, "
        f"{period(SQS_DEFAULT_RETENTION)} unless it is raised"
    )
    unique = " It needs ContentBasedDeduplication, unless each step gives an id." * queue.fifo
    Annotations.of(queue).add_warning_v2(
        "serverless-patterns:imported-step-queue",
        "This queue is imported, so its settings cannot be checked: "
        f"{kept}.{unique}{ask_for_key(queue)}",
    )
