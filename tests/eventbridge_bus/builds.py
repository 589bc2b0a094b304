"""How the contract suites make the construct and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms

from serverless_patterns.patterns.eventbridge_bus.construct import (
    Alarms,
    EventBridgeBus,
    NewBus,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.eventbridge_bus.construct import QueueRoute

PLACED = events.EventPattern(source=["shop.orders"], detail_type=["OrderPlaced"])


def make(stack: Stack, construct_id: str = "Bus", **given: Any) -> EventBridgeBus:
    bus = EventBridgeBus(stack, construct_id, **given)
    bus.add_target("Called", pattern=PLACED, target=function(stack, f"{construct_id}Called"))
    bus.add_queue("Queued", pattern=PLACED, consumer=function(stack, f"{construct_id}Queued"))
    return bus


def make_encrypted(stack: Stack, construct_id: str = "Bus", **given: Any) -> EventBridgeBus:
    key = kms.Key(stack, f"{construct_id}Key")
    return make(stack, construct_id, bus=NewBus(encryption_key=key), **given)


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
    Build("eventbridge_bus encrypted", make_encrypted, frozenset({"alarms"})),
    Build("eventbridge_bus route", make_route, frozenset({"queue", "consumer", "alarms"})),
]
