"""The saga's own rules: nothing may end it half done, and its queue has a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations
from aws_cdk import aws_stepfunctions as stepfunctions

from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.undo import check_undo
from ..blocks.values import expect
from .saga import Saga

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    from ..blocks.alarms import Alarms


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
        ValueError: ``queue`` without ``starter``; a definition that could end half done; your own
            state machine of the other type, which lacks the action that the API calls. Of an
            imported one a warning says what it needs.
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
        check_undo(saga.content, express=express, parked="ParkedQueue")
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
            "limit of its own, and give every step a timeout, retries and a catch that undoes. "
            "Grant entry.role and who starts executions the use of its key, if it has one.",
        )
