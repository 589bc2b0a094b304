"""How the contract suites make the construct and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, SecretValue
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from serverless_patterns.patterns.eventbridge_bus.construct import (
    Alarms,
    EventBridgeBus,
    NewBus,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import Stack

    from serverless_patterns.patterns.eventbridge_bus.construct import QueueRoute, Route

PLACED = events.EventPattern(source=["shop.orders"], detail_type=["OrderPlaced"])


def machine(stack: Stack, construct_id: str) -> sfn.StateMachine:
    body = sfn.DefinitionBody.from_chainable(sfn.Pass(stack, f"{construct_id}Pass"))
    return sfn.StateMachine(stack, f"{construct_id}Machine", definition_body=body)


def api(stack: Stack, construct_id: str) -> events.ApiDestination:
    secret = SecretValue.unsafe_plain_text("x")
    connection = events.Connection(
        stack,
        f"{construct_id}Connection",
        authorization=events.Authorization.api_key("key", secret),
    )
    endpoint = "https://carrier.example/parcels"
    return events.ApiDestination(
        stack, f"{construct_id}Api", connection=connection, endpoint=endpoint
    )


def theirs(stack: Stack, construct_id: str) -> events.IEventBus:
    arn = f"arn:{stack.partition}:events:eu-west-1:222222222222:event-bus/theirs"
    return events.EventBus.from_event_bus_arn(stack, f"{construct_id}Theirs", arn)


def queue(stack: Stack, construct_id: str) -> sqs.Queue:
    key, fortnight = kms.Key(stack, f"{construct_id}KeyOfQueue"), Duration.days(14)
    return sqs.Queue(
        stack,
        f"{construct_id}Queue",
        encryption_master_key=key,
        enforce_ssl=True,
        retention_period=fortnight,
    )


# By the construct id of its rule: every kind of target, and what EventBridge does to it.
TARGETS: dict[str, tuple[str, Callable[[Stack, str], Any]]] = {
    "ToBus": ("events:PutEvents", lambda stack, id_: events.EventBus(stack, f"{id_}Second")),
    "ToTheirs": ("events:PutEvents", theirs),
    "ToMachine": ("states:StartExecution", machine),
    "ToApi": ("events:InvokeApiDestination", api),
    "ToFunction": ("lambda:InvokeFunction", lambda stack, id_: function(stack, f"{id_}Called")),
    "ToQueue": ("sqs:SendMessage", queue),
}


def every_target(
    stack: Stack, bus: EventBridgeBus, construct_id: str = "To"
) -> dict[str, Route | QueueRoute]:
    """Add a rule for each kind of target."""
    return {
        kind: bus.add_target(kind, pattern=PLACED, target=target(stack, construct_id))
        for kind, (_, target) in TARGETS.items()
    }


def make(stack: Stack, construct_id: str = "Bus", **given: Any) -> EventBridgeBus:
    bus = EventBridgeBus(stack, construct_id, **given)
    bus.add_target("Called", pattern=PLACED, target=function(stack, f"{construct_id}Called"))
    bus.add_queue("Queued", pattern=PLACED, consumer=function(stack, f"{construct_id}Queued"))
    return bus


def make_encrypted(stack: Stack, construct_id: str = "Bus", **given: Any) -> EventBridgeBus:
    key = kms.Key(stack, f"{construct_id}Key")
    return make(stack, construct_id, bus=NewBus(encryption_key=key), **given)


def make_every_target(stack: Stack, construct_id: str = "Bus", **given: Any) -> EventBridgeBus:
    key = kms.Key(stack, f"{construct_id}Key")
    bus = EventBridgeBus(stack, construct_id, bus=NewBus(encryption_key=key), **given)
    every_target(stack, bus, construct_id)
    return bus


def make_route(
    stack: Stack,
    construct_id: str = "Bus",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
    consumer: Any = None,
    **settings: Any,
) -> QueueRoute:
    bus = EventBridgeBus(stack, construct_id, alarms=alarms)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return bus.add_queue("Route", pattern=PLACED, consumer=consumer, **settings)


BUILDS = [
    Build("eventbridge_bus", make, frozenset({"alarms"})),
    Build("eventbridge_bus encrypted", make_every_target, frozenset({"alarms"})),
    Build("eventbridge_bus route", make_route, frozenset({"queue", "consumer", "alarms"})),
]
