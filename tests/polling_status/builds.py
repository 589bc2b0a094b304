"""How the contract suites make the construct: in front of a queue, and of a state machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_stepfunctions as stepfunctions

from serverless_patterns.patterns.blocks.queues import SqsToLambda
from serverless_patterns.patterns.polling_status.construct import Alarms, NewStatuses, PollingStatus
from tests import inline
from tests.contracts.builds import Build

if TYPE_CHECKING:
    from aws_cdk import Stack
    from aws_cdk import aws_sqs as sqs


def queue(stack: Stack, construct_id: str, alarms: Any = None) -> sqs.IQueue:
    consumer = inline.function(stack, f"{construct_id}Consumer")
    alarms = (alarms if isinstance(alarms, Alarms) else Alarms()).of_pattern(__name__)
    return SqsToLambda(stack, f"{construct_id}Queue", consumer=consumer, alarms=alarms).queue


def machine(
    stack: Stack, construct_id: str, _: Any = None, **settings: Any
) -> stepfunctions.StateMachine:
    body = stepfunctions.DefinitionBody.from_chainable(
        stepfunctions.Pass(stack, f"{construct_id}Pass")
    )
    return stepfunctions.StateMachine(
        stack, f"{construct_id}Machine", definition_body=body, **settings
    )


def make(
    stack: Stack,
    construct_id: str = "Pattern",
    /,
    *,
    work: Any = queue,
    key: Any = None,
    **settings: Any,
) -> PollingStatus:
    handler = "lambdas.polling_status.front.handler"
    own = inline.function(stack, f"{construct_id}Front", handler=handler)
    if callable(work):
        work = work(stack, construct_id, settings.get("alarms"))
    if key:
        settings["statuses"] = NewStatuses(encryption_key=key)
    made = PollingStatus(stack, construct_id, **{"front": own} | settings, work=work)
    for name, value in made.environment.items():
        own.add_environment(name, value)
    return made


BUILDS = [
    Build("polling_status", make, frozenset({"alarms"})),
    Build("polling_status machine", partial(make, work=machine), frozenset({"alarms"})),
]
