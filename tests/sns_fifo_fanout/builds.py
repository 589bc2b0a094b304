"""How the contract suites make the construct: a fan-out with one subscriber, which they look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_fifo_fanout.construct import SnsFifoFanout
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber


def subscribe(
    stack: Stack,
    construct_id: str = "Fanout",
    *,
    method: str = "add_fifo_queue",
    consumer: Any = None,
    **settings: Any,
) -> QueueSubscriber:
    of_fanout = {name: settings.pop(name) for name in ("topic", "alarms") if name in settings}
    fanout = SnsFifoFanout(stack, construct_id, **of_fanout)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    subscriber: QueueSubscriber = getattr(fanout, method)("One", consumer=consumer, **settings)
    return subscriber


def in_batches(stack: Stack, construct_id: str = "Fanout", **settings: Any) -> QueueSubscriber:
    return subscribe(stack, construct_id, method="add_queue", **settings)


BUILDS = [
    Build("sns_fifo_fanout", subscribe, frozenset({"consumer", "alarms"})),
    Build("sns_fifo_fanout standard", in_batches, frozenset({"queue", "consumer", "alarms"})),
]
