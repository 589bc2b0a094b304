"""How the contract suites make the construct and a subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_fanout.construct import SnsFanout
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber


def make(stack: Stack, construct_id: str = "Fanout", **settings: Any) -> SnsFanout:
    fanout = SnsFanout(stack, construct_id, **settings)
    fanout.add_queue("Subscriber", consumer=function(stack, f"{construct_id}Consumer"))
    return fanout


def make_subscriber(stack: Stack, construct_id: str = "Fanout", **settings: Any) -> QueueSubscriber:
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    of_fanout = {"alarms": settings["alarms"]} if "alarms" in settings else {}
    fanout = SnsFanout(stack, construct_id, **of_fanout)
    return fanout.add_queue("Subscriber", consumer=consumer, **settings)


BUILDS = [
    Build("sns_fanout", make, frozenset({"alarms"})),
    Build("sns_fanout subscriber", make_subscriber, frozenset({"queue", "consumer", "alarms"})),
]
