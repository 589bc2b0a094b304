"""How the contract suites make the construct and a subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_fanout.construct import Alarms, NewTopic, SnsFanout
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber


def make(stack: Stack, construct_id: str = "Fanout", *, key: Any = None, **given: Any) -> SnsFanout:
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
    fanout = SnsFanout(stack, construct_id, **given)
    fanout.add_queue("Subscriber", consumer=function(stack, f"{construct_id}Consumer"))
    return fanout


def make_subscriber(
    stack: Stack,
    construct_id: str = "Fanout",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
    consumer: Any = None,
    **settings: Any,
) -> QueueSubscriber:
    fanout = SnsFanout(stack, construct_id, alarms=alarms)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return fanout.add_queue("Subscriber", consumer=consumer, **settings)


BUILDS = [
    Build("sns_fanout", make, frozenset({"topic", "alarms"})),
    Build("sns_fanout subscriber", make_subscriber, frozenset({"queue", "consumer", "alarms"})),
]
