"""Queues and their dead-letter queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import template, wiring

SQS_GUIDE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"
DLQ_PAGE = f"{SQS_GUIDE}/sqs-dead-letter-queues.html"
LAMBDA_SQS_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
DAYS_4 = 345_600
KIND = {True: "FIFO", False: "standard"}


def _with_dead_letter_queue(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, template.Resource]]:
    for queue in scenario.of("AWS::SQS::Queue"):
        target = scenario.queue(queue.get("RedrivePolicy.deadLetterTargetArn"))
        if target:
            yield queue, target


class DeadLetterQueueType(template.Rule):
    id = "E9101"
    shortdesc = "A dead-letter queue must be of its source queue's type"
    description = (
        "SQS moves a FIFO queue's messages to a FIFO queue only, and a standard queue's to a "
        "standard queue only. Make both queues FIFO, or both standard."
    )
    source_url = DLQ_PAGE
    tags = ["sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue in scenario.of("AWS::SQS::Queue"):
            target = queue.get("RedrivePolicy.deadLetterTargetArn")
            own, other = queue.flag("FifoQueue"), scenario.fifo(target)
            if own is not None and other is not None and own != other:
                yield template.Finding(
                    queue,
                    f"{queue.id} is a {KIND[own]} queue, its dead-letter queue is {KIND[other]}: "
                    f"both must be of one type. Make the dead-letter queue {KIND[own]}.",
                    ("RedrivePolicy",),
                )


class NoDeadLetterQueue(template.Rule):
    id = "W9102"
    shortdesc = "A consumed queue needs a dead-letter queue"
    description = (
        "A message that always fails is retried until its retention period ends, and is then "
        "deleted. Give the queue a RedrivePolicy with a dead-letter queue."
    )
    source_url = LAMBDA_SQS_PAGE
    tags = ["sqs", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for consumer, queue in wiring.consumed_queues(scenario):
            if queue.id in scenario.dead_letter_queues:
                continue  # what drains a dead-letter queue may stop there
            if queue.get("RedrivePolicy") is None:
                yield template.Finding(
                    queue,
                    f"{queue.id} is consumed by {consumer.id} and has no dead-letter queue: a "
                    "message that always fails is deleted when its retention period ends. "
                    "Give it a RedrivePolicy.",
                )


class DeadLetterRetention(template.Rule):
    id = "W9103"
    shortdesc = "A standard dead-letter queue must keep messages longer than its source"
    description = (
        "A standard queue's message keeps its original enqueue time when it is dead-lettered, so "
        "the time it spent in the source counts. Make the dead-letter queue's "
        "MessageRetentionPeriod the longer one (1209600 s at most)."
    )
    source_url = DLQ_PAGE
    tags = ["sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue, target in _with_dead_letter_queue(scenario):
            kept = queue.number("MessageRetentionPeriod", DAYS_4)
            dead = target.number("MessageRetentionPeriod", DAYS_4)
            standard = all(item.flag("FifoQueue") is False for item in (queue, target))
            if not standard or kept is None or dead is None:
                continue
            if dead <= kept:
                yield template.Finding(
                    target,
                    f"{target.id} keeps messages {dead} s and its source {queue.id} {kept} s: "
                    "a dead-lettered message keeps its original enqueue time and expires early. "
                    f"Set MessageRetentionPeriod of {target.id} above {kept} s, or lower that of "
                    f"{queue.id}.",
                    ("MessageRetentionPeriod",),
                )


class ReceiveCount(template.Rule):
    id = "W9104"
    shortdesc = "The queue of a Lambda function or a pipe needs a maxReceiveCount of at least 5"
    description = (
        "A poll that is throttled counts as a receive, so fewer than 5 dead-letters good "
        "messages. Set maxReceiveCount to 5 or more."
    )
    source_url = LAMBDA_SQS_PAGE
    tags = ["sqs", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for consumer, queue in wiring.consumed_queues(scenario):
            count = queue.number("RedrivePolicy.maxReceiveCount")
            if count is not None and count < 5:
                yield template.Finding(
                    queue,
                    f"{queue.id} has a maxReceiveCount of {count} and is consumed by "
                    f"{consumer.id}: polls that are throttled count as receives, so good "
                    "messages are dead-lettered. Set maxReceiveCount to 5 or more.",
                    ("RedrivePolicy", "maxReceiveCount"),
                )


class RedriveRefused(template.Rule):
    id = "E9105"
    shortdesc = "A dead-letter queue must allow its source queue"
    description = (
        "A RedriveAllowPolicy of denyAll, or one that names other queues, keeps the source queue "
        "from using the dead-letter queue, and SQS rejects it. Name the source in "
        "sourceQueueArns, or allow all."
    )
    source_url = f"{SQS_GUIDE}/sqs-dead-letter-queues.html"
    tags = ["sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue, target in _with_dead_letter_queue(scenario):
            if _refuses(scenario, target.get("RedriveAllowPolicy"), queue):
                yield template.Finding(
                    target,
                    f"{queue.id} dead-letters to {target.id}, whose RedriveAllowPolicy does not "
                    f"allow it. Name {queue.id} in sourceQueueArns, or allow all.",
                    ("RedriveAllowPolicy",),
                )


def _refuses(scenario: template.Scenario, policy: Any, queue: template.Resource) -> bool:
    """Tell whether a RedriveAllowPolicy refuses a queue; not when that cannot be known."""
    if not isinstance(policy, Mapping):
        return False
    permission, listed = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission != "byQueue" or not isinstance(listed, list):
        return permission == "denyAll"
    sources = [scenario.queue(arn) for arn in listed]
    return None not in sources and queue not in sources


class ExpiresBeforeDeadLettering(template.Rule):
    id = "W9106"
    shortdesc = "A queue must keep a message until its receives are used up"
    description = (
        "A message that fails is received again when its visibility timeout ends. When "
        "maxReceiveCount x the visibility timeout reaches the retention period, it is deleted "
        "before it could be dead-lettered. Raise MessageRetentionPeriod, or lower one of the two."
    )
    source_url = DLQ_PAGE
    tags = ["sqs", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for _, queue in wiring.consumed_queues(scenario):
            count = queue.number("RedrivePolicy.maxReceiveCount")
            visible = queue.number("VisibilityTimeout", 30)
            kept = queue.number("MessageRetentionPeriod", DAYS_4)
            if count is None or visible is None or kept is None:
                continue
            if count * visible >= kept:
                yield template.Finding(
                    queue,
                    f"{queue.id} keeps a message {kept} s, but {count} receives of {visible} s "
                    f"take {count * visible} s: what always fails is deleted before it is "
                    "dead-lettered. Raise MessageRetentionPeriod, or lower maxReceiveCount or "
                    "VisibilityTimeout.",
                    ("RedrivePolicy", "maxReceiveCount"),
                )
