"""Queues in another account or Region than what dead-letters to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import sqs

from .. import arns, wiring
from ..template import At, Finding, Findings, Resource, Scenario, is_unknown, rule

# What uses a role of its own account, and a layer, a key or a source of its own Region.
USERS = (
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Pipes::Pipe",
    "AWS::SQS::Queue",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachine",
)
ROLES, NEARBY = ("Role", "RoleArn"), ("Layers", "KmsMasterKeyId", "EventSourceArn")
ITSELF = ("Resource", "EventSourceArn", "sourceQueueArns")  # where a stack names its resources
ACCOUNT = re.compile(r"\d{12}")
Place = tuple[str | None, str | None]


def _of(arn: Any) -> Place:
    """Return the account and the Region that an ARN writes out."""
    parts = arns.split(arn)
    if not parts:
        return None, None
    account, region = parts[arns.ACCOUNT], parts[arns.REGION]
    return (
        account if ACCOUNT.fullmatch(account) else None,
        None if is_unknown(region) else region or None,
    )


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the strings of a value, each with the property that it is in."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name != "Environment":
                yield from _texts(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value


def _own(scenario: Scenario) -> Place:
    """Return the account and the Region of the stack, as far as its ARNs show them."""
    accounts, regions = set[str | None](), set[str | None]()
    for resource in scenario.resources.values():
        for key, text in _texts(resource.properties):
            account, region = _of(text)
            user = resource.type in USERS
            itself = key in ITSELF and arns.split(text) and arns.named(scenario, text, ())
            if itself or (user and key in ROLES):
                accounts.add(account)
            if itself or (user and key in NEARBY):
                regions.add(region)
    found = [places - {None} for places in (accounts, regions)]
    account, region = (places.pop() if len(places) == 1 else None for places in found)
    return account, region


def _dead_letters(scenario: Scenario) -> Iterator[tuple[Resource, Place, Any, At]]:
    """Yield what dead-letters, what is known of its place, the queue, and the property."""
    own = _own(scenario)
    for queue in scenario.of("AWS::SQS::Queue"):
        target = queue.get("RedrivePolicy.deadLetterTargetArn")
        yield queue, own, target, ("RedrivePolicy", "deadLetterTargetArn")
    for item in wiring.subscriptions(scenario):
        target = item.get("RedrivePolicy.deadLetterTargetArn")
        here = own[0], _of(item.get("TopicArn"))[1] or own[1]
        yield item, here, target, ("RedrivePolicy",)
    for rule_target in wiring.rule_targets(scenario):
        target, at = rule_target.dead_letter_queue, (*rule_target.at, "DeadLetterConfig", "Arn")
        yield rule_target.source, (None, own[1]), target, at


@rule("E9109", "sqs", "sns", "events", shared=sqs.dead_letter_queue_place)
def dead_letter_queue_place(scenario: Scenario) -> Findings:
    """A dead-letter queue must be in the account and the Region of its source.

    SQS and SNS move messages within an account and a Region, and EventBridge within a Region: a
    queue elsewhere is rejected, or gets nothing. Use a queue of the same account and Region.
    """
    for source, here, target, at in _dead_letters(scenario):
        problem = sqs.dead_letter_queue_place(source, here, target, _of(target))
        yield Finding(source, problem, at)


@rule("I9108", "sqs", "sns", "events")
def dead_letter_queue_elsewhere(scenario: Scenario) -> Findings:
    """A dead-letter queue's ARN should take its account and its Region from the stack.

    An ARN that takes one of both from the stack and writes out the other names a queue elsewhere
    when the stack is deployed in another account or Region, and a dead-letter queue elsewhere is
    rejected. Write AWS::AccountId and AWS::Region, or a reference.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    for source, here, target, at in _dead_letters(scenario):
        account, region = _of(target)
        parts = arns.split(target)
        own = (
            parts and parts[arns.REGION] == arns.OWN_REGION,
            parts and (parts[arns.ACCOUNT] == arns.OWN_ACCOUNT),
        )
        known = sqs.dead_letter_queue_place(source, here, target, (account, region))
        if not known and any(own) and (account or region):
            yield Finding(
                source,
                f"{source} dead-letters to {target}, which writes out its "
                f"{'account' if account else 'Region'}: in a stack of another one, that queue is "
                "elsewhere, and is rejected. Take it from the stack.",
                at,
            )
