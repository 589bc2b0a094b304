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


def queue(stack: Stack, name: str, alarms: Any = None) -> sqs.IQueue:
    consumer = inline.function(stack, f"{name}Consumer")
    alarms = (alarms if isinstance(alarms, Alarms) else Alarms()).of_pattern(__name__)
    return SqsToLambda(stack, f"{name}Queue", consumer=consumer, alarms=alarms).queue


def machine(stack: Stack, name: str, _: Any = None, **settings: Any) -> stepfunctions.StateMachine:
    first = stepfunctions.Pass(stack, f"{name}Pass")
    body = stepfunctions.DefinitionBody.from_chainable(first)
    return stepfunctions.StateMachine(stack, f"{name}Machine", definition_body=body, **settings)


def make(
    stack: Stack, name: str = "Pattern", /, *, work: Any = queue, key: Any = None, **settings: Any
) -> PollingStatus:
    own = inline.function(stack, f"{name}Front", handler="lambdas.polling_status.front.handler")
    if callable(work):
        work = work(stack, name, settings.get("alarms"))
    if key:
        settings["statuses"] = NewStatuses(encryption_key=key)
    made = PollingStatus(stack, name, **{"front": own} | settings, work=work)
    for variable, value in made.environment.items():
        own.add_environment(variable, value)
    return made


BUILDS = [
    Build("polling_status", make, frozenset({"alarms"})),
    Build("polling_status machine", partial(make, work=machine), frozenset({"alarms"})),
]
