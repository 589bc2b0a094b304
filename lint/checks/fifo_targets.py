"""FIFO queues and topics where only standard ones work, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import template, wiring

DOCS = "https://docs.aws.amazon.com"
KIND = {True: "FIFO", False: "standard"}


class FailureDestinationFifo(template.Rule):
    id = "E9131"
    shortdesc = "A Lambda destination or dead-letter queue must be standard"
    description = (
        "Lambda sends the records of asynchronous invocations and of failed stream batches to "
        "standard queues and standard topics only. Use a standard queue or topic."
    )
    source_url = f"{DOCS}/lambda/latest/dg/invocation-async-retain-records.html"
    tags = ["lambda", "sqs", "sns"]
    places = (
        ("AWS::Lambda::EventInvokeConfig", "DestinationConfig.OnSuccess.Destination"),
        ("AWS::Lambda::EventInvokeConfig", "DestinationConfig.OnFailure.Destination"),
        ("AWS::Lambda::EventSourceMapping", "DestinationConfig.OnFailure.Destination"),
        ("AWS::Lambda::Function", "DeadLetterConfig.TargetArn"),
    )

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for kind, place in self.places:
            for resource in scenario.of(kind):
                if scenario.fifo(resource.get(place)):
                    yield template.Finding(
                        resource,
                        f"{place} of {resource.id} is FIFO: Lambda sends to standard queues and "
                        "topics only, so these records are lost. Use a standard one.",
                        tuple(place.split(".")),
                    )


class BucketToFifoQueue(template.Rule):
    id = "E9132"
    shortdesc = "A bucket cannot notify a FIFO queue or topic"
    description = (
        "S3 rejects a FIFO queue or topic as the destination of event notifications. Use a "
        "standard one, or send the bucket's events to EventBridge, and from there to the FIFO "
        "queue."
    )
    source_url = (
        f"{DOCS}/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"
    )
    tags = ["s3", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for delivery in wiring.bucket_notifications(scenario):
            if scenario.fifo(delivery.target):
                yield template.Finding(
                    delivery.source,
                    f"{delivery.source.id} notifies a FIFO queue or topic, which S3 does not "
                    "support. Use a standard one, or go through EventBridge.",
                    delivery.at,
                )


class FifoTopicProtocol(template.Rule):
    id = "E9133"
    shortdesc = "A FIFO topic delivers to SQS queues only"
    description = (
        "SNS rejects subscriptions of other protocols to a FIFO topic. Subscribe a queue, and let "
        "the function, the endpoint or the stream consume that."
    )
    source_url = f"{DOCS}/sns/latest/dg/fifo-topic-message-delivery.html"
    tags = ["sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for subscription in wiring.subscriptions(scenario):
            protocol = subscription.protocol
            if template.is_unknown(protocol) or protocol in (None, "sqs"):
                continue
            if scenario.fifo(subscription.topic):
                yield template.Finding(
                    subscription.resource,
                    f"{subscription.resource.id} subscribes {protocol} to a FIFO topic, which "
                    "delivers to SQS queues only. Subscribe a queue and consume that.",
                    subscription.at,
                )


class StandardTopicToFifoQueue(template.Rule):
    id = "E9134"
    shortdesc = "A standard topic cannot deliver to a FIFO queue"
    description = (
        "SNS rejects the subscription of a FIFO queue to a standard topic. Make the topic FIFO, "
        "or the queue standard."
    )
    source_url = f"{DOCS}/sns/latest/dg/fifo-topic-message-delivery.html"
    tags = ["sns", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for subscription in wiring.subscriptions(scenario):
            if subscription.protocol != "sqs" or not scenario.fifo(subscription.endpoint):
                continue
            if scenario.fifo(subscription.topic) is False:
                yield template.Finding(
                    subscription.resource,
                    f"{subscription.resource.id} subscribes a FIFO queue to a standard topic, "
                    "which SNS rejects. Make the topic FIFO, or the queue standard.",
                    subscription.at,
                )


class SubscriptionDeadLetterQueueType(template.Rule):
    id = "E9135"
    shortdesc = "A subscription's dead-letter queue must be of the subscription's type"
    description = (
        "A FIFO queue subscribed to a FIFO topic needs a FIFO dead-letter queue; the subscription "
        "of a standard topic needs a standard one. Change the queue in RedrivePolicy."
    )
    source_url = f"{DOCS}/sns/latest/dg/sns-dead-letter-queues.html"
    tags = ["sns", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for resource in scenario.of("AWS::SNS::Subscription"):
            topic = scenario.fifo(resource.get("TopicArn"))
            target = scenario.fifo(resource.get("RedrivePolicy.deadLetterTargetArn"))
            if topic is None or target is None or topic == target:
                continue
            if topic and not scenario.fifo(resource.get("Endpoint")):
                continue  # a standard queue of a FIFO topic: AWS names no type
            yield template.Finding(
                resource,
                f"{resource.id} is a {KIND[topic]} subscription and its dead-letter queue is "
                f"{KIND[target]}: failed messages would be lost. Use a {KIND[topic]} queue.",
                ("RedrivePolicy",),
            )


class RuleDeadLetterQueueFifo(template.Rule):
    id = "E9136"
    shortdesc = "A rule's dead-letter queue must be standard"
    description = (
        "EventBridge sends undeliverable events to standard queues only. Use a standard queue."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-rule-dlq.html"
    tags = ["events", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for target in wiring.rule_targets(scenario):
            if scenario.fifo(target.dead_letter_queue):
                yield template.Finding(
                    target.source,
                    f"A target of {target.source.id} has a FIFO dead-letter queue, which "
                    "EventBridge does not support: undeliverable events are lost. Use a standard "
                    "queue.",
                    target.at,
                )


class ScheduleDeadLetterQueueFifo(template.Rule):
    id = "E9137"
    shortdesc = "A schedule's dead-letter queue must be standard"
    description = (
        "EventBridge Scheduler sends undeliverable events to standard queues only. Use a standard "
        "queue."
    )
    source_url = f"{DOCS}/scheduler/latest/UserGuide/configuring-schedule-dlq.html"
    tags = ["scheduler", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for schedule in scenario.of("AWS::Scheduler::Schedule"):
            if scenario.fifo(schedule.get("Target.DeadLetterConfig.Arn")):
                yield template.Finding(
                    schedule,
                    f"{schedule.id} has a FIFO dead-letter queue, which EventBridge Scheduler "
                    "does not support: undeliverable events are lost. Use a standard queue.",
                    ("Target", "DeadLetterConfig", "Arn"),
                )


class FifoQueueParameters(template.Rule):
    id = "E9138"
    shortdesc = "What sends to a FIFO queue must give a message group and a deduplication id"
    description = (
        "SQS refuses a message without a group or a deduplication id, so nothing arrives. Set "
        "MessageGroupId (SqsParameters of a rule or a schedule, SqsQueueParameters of a pipe) and "
        "ContentBasedDeduplication of the queue; a pipe may give a MessageDeduplicationId instead."
    )
    source_url = f"{DOCS}/eventbridge/latest/APIReference/API_Target.html"
    tags = ["events", "scheduler", "pipes", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for sender, target, parameters, at in _sent(scenario):
            if not scenario.fifo(target) or isinstance(parameters, str):
                continue
            given = parameters if isinstance(parameters, Mapping) else {}
            queue = scenario.queue(target)
            content = queue.flag("ContentBasedDeduplication") if queue else None
            lacks = ["MessageGroupId"] if "MessageGroupId" not in given else []
            if content is False and "MessageDeduplicationId" not in given:
                lacks.append("ContentBasedDeduplication of the queue")
            if lacks:
                yield template.Finding(
                    sender,
                    f"{sender.id} sends to a FIFO queue without {' and '.join(lacks)}: SQS refuses "
                    "every message. Set it.",
                    at,
                )


def _sent(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, Any, Any, tuple[str | int, ...]]]:
    """Yield what rules, schedules and pipes send to: the sender, the target, its parameters."""
    for rule in scenario.of("AWS::Events::Rule"):
        for index, target in enumerate(rule.list("Targets")):
            if isinstance(target, Mapping):
                yield rule, target.get("Arn"), target.get("SqsParameters"), ("Targets", index)
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        parameters = schedule.get("Target.SqsParameters")
        yield schedule, schedule.get("Target.Arn"), parameters, ("Target",)
    for pipe in scenario.of("AWS::Pipes::Pipe"):
        parameters = pipe.get("TargetParameters.SqsQueueParameters")
        yield pipe, pipe.get("Target"), parameters, ("TargetParameters",)
