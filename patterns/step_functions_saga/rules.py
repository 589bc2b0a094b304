"""The rules of a saga's state machine and of the queue that starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations
from aws_cdk import aws_stepfunctions as stepfunctions

from .machine import Saga

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    from ..blocks.consumers import Consumer
    from ..blocks.queues import NewQueue


def check(
    saga: Saga | stepfunctions.IStateMachine,
    starter: lambda_.IFunction | Consumer | None,
    queue: sqs.IQueue | NewQueue | None,
    *,
    express: bool,
) -> None:
    """Reject a state machine of the other type, and a queue that nobody would read.

    Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html

    Raises:
        ValueError: Standard for ``express``, or Express without it: the API would call an action
            that the type does not have; or ``queue`` without ``starter``. Of an imported state
            machine a warning says what it needs.
    """
    if starter is None and queue is not None:
        raise ValueError(
            "queue was given without starter, the function that reads it. Give a starter, or leave "
            "queue out."
        )
    if isinstance(saga, Saga):
        return
    if isinstance(saga, stepfunctions.StateMachine):
        is_express = saga.state_machine_type == stepfunctions.StateMachineType.EXPRESS
        if is_express != express:
            raise ValueError(
                f"express is {express}, but state machine {saga.node.path} is "
                f"{saga.state_machine_type.value}. Set express={is_express}."
            )
        return
    Annotations.of(saga).add_warning_v2(
        "serverless-patterns:imported-state-machine",
        "This state machine is imported, so its type and definition cannot be checked: it must be "
        f"{'EXPRESS' if express else 'STANDARD'}, since express is {express}, have no time limit "
        "of its own, and give every step a timeout, retries and a catch that undoes.",
    )
