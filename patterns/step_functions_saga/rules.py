"""The saga's own rules: nothing may end it half done, and its queue has a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_stepfunctions as stepfunctions

from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.values import expect
from ..checks import reject
from ..checks import stepfunctions as checks
from .saga import Saga

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    from ..blocks.alarms import Alarms
    from ..blocks.definitions import Definition


def check(
    saga: Saga | stepfunctions.IStateMachine,
    starter: lambda_.IFunction | Consumer | None,
    queue: sqs.IQueue | NewQueue | None,
    alarms: Alarms,
    *,
    express: bool,
) -> None:
    """Reject a saga that could end half done, another type of machine, and a queue without reader.

    Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html

    Raises:
        ValueError: ``queue`` without ``starter``; a definition with a timeout of the whole
            execution, a step without timeout, retries or catch, a Map without a limit, and in
            Express a step that waits, or more than five minutes in all; your own state machine of
            the other type, which lacks the action that the API calls. Of an imported one a warning
            says what it needs.
    """
    expect("saga", saga, Saga, "IStateMachine")
    expect("express", express, bool)
    expect("starter", starter, "IFunction", Consumer, None)
    expect("queue", queue, "IQueue", NewQueue, None)
    if starter is None and queue is not None:
        raise ValueError(
            "queue was given without starter, the function that reads it. Give a starter, or leave "
            "queue out."
        )
    if starter is None and alarms.max_age is not None:
        raise ValueError(
            "alarms.max_age was given without starter, so no message waits. Give a starter, or "
            "leave max_age out."
        )
    if isinstance(saga, Saga):
        check_definition(saga.content, express=express)
    elif isinstance(saga, stepfunctions.StateMachine):
        is_express = saga.state_machine_type == stepfunctions.StateMachineType.EXPRESS
        if is_express != express:
            raise ValueError(
                f"express is {express}, but state machine {saga.node.path} is "
                f"{saga.state_machine_type.value}. Set express={is_express}."
            )
    else:
        Annotations.of(saga).add_warning_v2(
            "serverless-patterns:imported-state-machine",
            "This state machine is imported, so its type and definition cannot be checked: it must "
            f"be {'EXPRESS' if express else 'STANDARD'}, since express is {express}, have no time "
            "limit of its own, and give every step a timeout, retries and a catch that undoes.",
        )


def check_definition(definition: Definition, *, express: bool) -> None:
    """Reject a definition that could leave a saga half done and not undone."""
    states = definition.states
    reject(
        checks.whole_timeout(definition.machine.get("TimeoutSeconds")),
        *(checks.step(step.name, step.fields) for step in definition.steps),
        *(
            checks.caught(one.title, one.caught, may_answer_too_much=one.may_answer_too_much)
            for one in states
            if one.kind in ("Task", "Map", "Parallel")
        ),
        *(
            checks.has_default(one.name, one.fields.get("Default"), one.caught)
            for one in states
            if one.kind == "Choice"
        ),
    )
    maps = [state for state in states if state.kind == "Map"]
    for one in maps:
        limit = one.fields.get("MaxConcurrency")
        reject(
            checks.map_concurrency(one.name, limit, distributed=one.distributed),
            checks.tolerates(one.name, one.fields),
        )
        if express:
            reject(checks.express_map(one.name, distributed=one.distributed))
        if one.express_items:
            inside = one.fields["ItemProcessor"]["States"].values()
            _check_express(f"Each item of Map {one.name}", inside, definition, f"{one.name}/")
    if express:
        top = definition.machine["States"].values()
        _check_express("The state machine", top, definition)


def _check_express(
    name: str, states: Iterable[Any], definition: Definition, within: str = ""
) -> None:
    """Reject what an Express execution cannot do, or not within its five minutes."""
    steps = [step for step in definition.steps if step.name.startswith(within)]
    reject(
        *(checks.express_waits(step.name, step.resource) for step in steps),
        checks.express_duration(name, states),
    )
