"""How the contract suites make the constructs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.claim_check.construct import (
    ClaimCheck,
    ClaimCheckFanout,
    NewBucket,
    NewQueue,
    NewTopic,
    Payloads,
    Sweep,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber


def make(
    stack: Stack,
    construct_id: str = "Claims",
    *,
    key: Any = None,
    consumer: Any = None,
    **given: Any,
) -> ClaimCheck:
    if key is not None:
        given["payloads"] = Payloads(bucket=NewBucket(encryption_key=key))
        given["queue"] = NewQueue(encryption_key=key)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    given.setdefault("sweep", Sweep(function(stack, f"{construct_id}Sweep")))
    return ClaimCheck(stack, construct_id, consumer=consumer, **given)


def make_uploads(stack: Stack, construct_id: str = "Claims", **given: Any) -> ClaimCheck:
    made = make(stack, construct_id, **given)
    front, announcer = (
        function(stack, f"{construct_id}{name}", handler=f"lambdas.claim_check.{name}.handler")
        for name in ("uploads", "announce")
    )
    uploads = made.add_uploads(front=front, announcer=announcer)
    told = ((front, uploads.front_environment), (announcer, uploads.announcer_environment))
    for one, variables in told:
        for name, value in variables.items():
            one.add_environment(name, value)
    return made


def make_fanout(
    stack: Stack, construct_id: str = "Fanout", *, key: Any = None, **given: Any
) -> ClaimCheckFanout:
    """Make a fan-out with a subscriber; ``consumer``, ``queue`` and ``subscription`` are its."""
    settings = {name: given.pop(name) for name in ("queue", "subscription") if name in given}
    consumer = given.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
        given["payloads"] = Payloads(bucket=NewBucket(encryption_key=key))
    fanout = ClaimCheckFanout(stack, construct_id, **given)
    fanout.add_queue("Subscriber", consumer=consumer, **settings)
    return fanout


def make_subscriber(stack: Stack, construct_id: str = "Fanout", **given: Any) -> QueueSubscriber:
    return make_fanout(stack, construct_id, **given).subscribers[0]


TAKES = frozenset({"queue", "consumer", "alarms"})
BUILDS = [
    Build("claim_check", make, TAKES),
    Build("claim_check uploads", make_uploads, frozenset({"alarms"})),
    Build("claim_check fanout", make_fanout, frozenset({"alarms", "topic"})),
    Build("claim_check subscriber", make_subscriber, TAKES),
]
