"""How the contract suites make the construct."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.dlq_redrive.construct import NewQueue, RedrivenQueue
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(stack: Stack, construct_id: str = "Redriven", **settings: Any) -> RedrivenQueue:
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    return RedrivenQueue(stack, construct_id, consumer=consumer, **settings)


def make_healing(stack: Stack, construct_id: str = "Redriven", **settings: Any) -> RedrivenQueue:
    redriver = function(stack, f"{construct_id}Redriver")
    return make(stack, construct_id, redriver=redriver, **settings)


make_fifo = partial(make, queue=NewQueue(fifo=True))
BUILDS = [
    Build("dlq_redrive", make, frozenset({"queue", "consumer", "alarms"})),
    Build("dlq_redrive redriver", make_healing, frozenset({"alarms"})),
    Build("dlq_redrive fifo", make_fifo, frozenset({"consumer", "alarms"})),
]
