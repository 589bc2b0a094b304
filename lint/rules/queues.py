"""Queues and their dead-letter queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lint import template

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        mappings = scenario.of("AWS::Lambda::EventSourceMapping")
        consumers = [(mapping, mapping.get("EventSourceArn")) for mapping in mappings]
        consumers += [(pipe, pipe.get("Source")) for pipe in scenario.of("AWS::Pipes::Pipe")]
        for consumer, source in consumers:
            queue = scenario.queue(source)
            if not queue or queue.id in scenario.dead_letter_queues:
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
    shortdesc = "A Lambda function's queue needs a maxReceiveCount of at least 5"
    description = (
        "A poll that Lambda throttles counts as a receive, so fewer than 5 dead-letters good "
        "messages. Set maxReceiveCount to 5 or more."
    )
    source_url = LAMBDA_SQS_PAGE
    tags = ["sqs", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
            queue = scenario.queue(mapping.get("EventSourceArn"))
            count = queue.number("RedrivePolicy.maxReceiveCount") if queue else None
            if queue and count is not None and count < 5:
                yield template.Finding(
                    queue,
                    f"{queue.id} has a maxReceiveCount of {count} and is consumed by Lambda "
                    f"({mapping.id}): polls that are throttled count as receives, so good "
                    "messages are dead-lettered. Set maxReceiveCount to 5 or more.",
                    ("RedrivePolicy", "maxReceiveCount"),
                )
