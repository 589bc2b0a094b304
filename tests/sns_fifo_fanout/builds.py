"""How the contract suites make the construct and each of its subscribers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_fifo_fanout.construct import NewQueue, NewTopic, SnsFifoFanout
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber

ORDERED = NewQueue(fifo=True)


def make(
    stack: Stack, construct_id: str = "Fanout", *, key: Any = None, **given: Any
) -> SnsFifoFanout:
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
    fanout = SnsFifoFanout(stack, construct_id, **given)
    fanout.add_queue("Ordered", consumer=function(stack, f"{construct_id}A"), queue=ORDERED)
    fanout.add_queue("Batched", consumer=function(stack, f"{construct_id}B"))
    return fanout


def subscribe(
    stack: Stack, construct_id: str = "Fanout", *, consumer: Any = None, **settings: Any
) -> QueueSubscriber:
    of_fanout = {name: settings.pop(name) for name in ("topic", "alarms") if name in settings}
    fanout = SnsFifoFanout(stack, construct_id, **of_fanout)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return fanout.add_queue("One", consumer=consumer, **settings)


in_order = partial(subscribe, queue=ORDERED)
BUILDS = [
    Build("sns_fifo_fanout", make, frozenset({"topic", "alarms"})),
    Build("sns_fifo_fanout ordered", in_order, frozenset({"consumer", "alarms"})),
    Build("sns_fifo_fanout batched", subscribe, frozenset({"queue", "consumer", "alarms"})),
]
