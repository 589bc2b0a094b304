"""How the contract suites make the construct: for a function, and for a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.delay_and_visibility.construct import (
    Backoff,
    DelayedQueue,
    Later,
    Worker,
)
from tests import inline
from tests.contracts.builds import Build

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(
    stack: Stack, construct_id: str = "Pattern", /, *, key: Any = None, **settings: Any
) -> DelayedQueue:
    settings.setdefault("backoff", Backoff(first=Duration.seconds(10)))
    if key:
        settings["queue"] = NewQueue(encryption_key=key)
    settings["consumer"] = settings.get("consumer") or inline.function(
        stack, f"{construct_id}Consumer"
    )
    return DelayedQueue(stack, construct_id, **settings)


def make_with_sender(
    stack: Stack, construct_id: str = "Pattern", /, **settings: Any
) -> DelayedQueue:
    later = Later(encryption_key=kms.Key(stack, f"{construct_id}LaterKey"))
    made = make(stack, construct_id, later=later, **settings)
    handler, environment = "lambdas.delay_and_visibility.send.handler", made.sender_environment
    settings = {"handler": handler, "environment": environment}
    made.grant_send_messages(inline.function(stack, f"{construct_id}Sender", **settings))
    return made


def make_with_worker(
    stack: Stack, construct_id: str = "Pattern", /, **settings: Any
) -> DelayedQueue:
    made = make(stack, construct_id, **{"consumer": Worker()} | settings)
    principal = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
    made.grant_consume_messages(iam.Role(stack, f"{construct_id}Role", assumed_by=principal))
    return made


BUILDS = [
    Build("delay_and_visibility", make, frozenset({"queue", "consumer", "alarms", "key"})),
    Build("delay_and_visibility later", make_with_sender, frozenset({"alarms", "key"})),
    Build("delay_and_visibility worker", make_with_worker, frozenset({"alarms", "key"})),
]
