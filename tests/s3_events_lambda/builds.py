"""How the contract suites make the construct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_kms as kms

from serverless_patterns.patterns.s3_events_lambda.construct import (
    NewBucket,
    NewQueue,
    S3EventsToLambda,
    S3EventsToSqsToLambda,
    Sweep,
    ThroughEventBridge,
    ThroughTopic,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(
    stack: Stack,
    construct_id: str = "Events",
    *,
    key: Any = None,
    consumer: Any = None,
    **given: Any,
) -> S3EventsToSqsToLambda:
    if key is not None:
        given |= {"bucket": NewBucket(encryption_key=key), "queue": NewQueue(encryption_key=key)}
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    given.setdefault("sweep", Sweep(function(stack, f"{construct_id}Sweep")))
    return S3EventsToSqsToLambda(stack, construct_id, consumer=consumer, **given)


def make_topic(stack: Stack, construct_id: str = "Events", **given: Any) -> S3EventsToSqsToLambda:
    key = kms.Key(stack, f"{construct_id}Key")
    return make(stack, construct_id, through=ThroughTopic(encryption_key=key), **given)


def make_rule(stack: Stack, construct_id: str = "Events", **given: Any) -> S3EventsToSqsToLambda:
    return make(stack, construct_id, through=ThroughEventBridge(), **given)


def make_direct(
    stack: Stack, construct_id: str = "Events", *, key: Any = None, **given: Any
) -> S3EventsToLambda:
    if key is not None:
        given |= {"bucket": NewBucket(encryption_key=key), "encryption_key": key}
    given.setdefault("function", function(stack, f"{construct_id}Function"))
    given.setdefault("sweep", Sweep(function(stack, f"{construct_id}Sweep")))
    return S3EventsToLambda(stack, construct_id, **given)


TAKES = frozenset({"queue", "consumer", "alarms"})
BUILDS = [
    Build("s3_events_lambda", make, TAKES),
    Build("s3_events_lambda direct", make_direct, frozenset({"alarms", "key"})),
    Build("s3_events_lambda rule", make_rule, TAKES),
    Build("s3_events_lambda topic", make_topic, frozenset({"alarms"})),
]
