"""FIFO queues and topics where only standard ones work, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import events, lambda_, s3, scheduler, sns, sqs

from .. import wiring
from ..template import At, Finding, Findings, Resource, Scenario, is_unknown, rule

INVOKE, MAPPING = "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping"
ON_FAILURE = "DestinationConfig.OnFailure.Destination"
DESTINATIONS = (
    (INVOKE, "DestinationConfig.OnSuccess.Destination"),
    (INVOKE, ON_FAILURE),
    (MAPPING, ON_FAILURE),
    ("AWS::Lambda::Function", "DeadLetterConfig.TargetArn"),
)


@rule("E9131", "lambda", "sqs", "sns", shared=lambda_.standard_destination)
def failure_destination_fifo(scenario: Scenario) -> Findings:
    """A Lambda destination or dead-letter queue must be standard.

    Lambda sends the records of asynchronous invocations and of failed stream batches to standard
    queues and standard topics only. Use a standard queue or topic.
    """
    for kind, place in DESTINATIONS:
        for resource in scenario.of(kind):
            target = resource.get(place)
            if scenario.fifo(target):
                queue = scenario.queue(target) or ":sqs:" in target
                name, known = f"{place} of {resource}", "queue" if queue else "topic"
                problem = lambda_.standard_destination(name, known)
                yield Finding(resource, problem, tuple(place.split(".")))


@rule("E9132", "s3", "sqs", shared=s3.fifo_target)
def bucket_to_fifo(scenario: Scenario) -> Findings:
    """A bucket cannot notify a FIFO queue or topic.

    S3 rejects a FIFO queue or topic as the destination of event notifications. Use a standard one,
    or send the bucket's events to EventBridge, and from there to the FIFO queue.
    """
    for delivery in wiring.bucket_notifications(scenario):
        if scenario.fifo(delivery.target):
            target = scenario.name(delivery.target, "its target")
            yield Finding(delivery.source, s3.fifo_target(delivery.source, target), delivery.at)


@rule("E9133", "sns", shared=sns.fifo_topic_protocol)
def fifo_topic_protocol(scenario: Scenario) -> Findings:
    """A FIFO topic delivers to SQS queues only.

    SNS rejects subscriptions of other protocols to a FIFO topic. Subscribe a queue, and let the
    function, the endpoint or the stream consume it.
    """
    for subscription in wiring.subscriptions(scenario):
        protocol = subscription.get("Protocol")
        known = isinstance(protocol, str) and not is_unknown(protocol)
        if known and scenario.fifo(subscription.get("TopicArn")):
            problem = sns.fifo_topic_protocol(subscription, protocol)
            yield Finding(subscription, problem, ("Protocol",))


@rule("E9134", "sns", "sqs", shared=sns.topic_of_fifo_queue)
def topic_of_fifo_queue(scenario: Scenario) -> Findings:
    """A standard topic cannot deliver to a FIFO queue.

    SNS rejects the subscription of a FIFO queue to a standard topic. Make the topic FIFO, or the
    queue standard.
    """
    for subscription in wiring.subscriptions(scenario):
        topic, protocol, queue = map(subscription.get, ("TopicArn", "Protocol", "Endpoint"))
        fifo = scenario.fifo(topic)
        if protocol == "sqs" and scenario.fifo(queue) and fifo is not None:
            name = f"{scenario.find(topic) or topic}, the topic of {subscription},"
            yield Finding(subscription, sns.topic_of_fifo_queue(name, fifo=fifo), ("Protocol",))


@rule("E9135", "sns", "sqs", shared=sns.dead_letter_queue_type)
def subscription_dead_letter_queue_type(scenario: Scenario) -> Findings:
    """A subscription's dead-letter queue must be of the subscription's type.

    A FIFO queue subscribed to a FIFO topic needs a FIFO dead-letter queue; the subscription of a
    standard topic needs a standard one. Change the queue in RedrivePolicy.
    """
    for resource in scenario.of("AWS::SNS::Subscription"):
        target = resource.get("RedrivePolicy.deadLetterTargetArn")
        topic, queue = scenario.fifo(resource.get("TopicArn")), scenario.fifo(target)
        if topic is None or queue is None:
            continue
        if topic and not scenario.fifo(resource.get("Endpoint")):
            continue  # a standard queue of a FIFO topic: AWS names no type
        name = f"{scenario.find(target) or target}, the dead-letter queue of {resource},"
        problem = sns.dead_letter_queue_type(name, topic_fifo=topic, dead_letter_fifo=queue)
        yield Finding(resource, problem, ("RedrivePolicy",))


@rule("E9136", "events", "sqs", shared=events.dead_letter_queue_standard)
def rule_dead_letter_queue_fifo(scenario: Scenario) -> Findings:
    """A rule's dead-letter queue must be standard.

    EventBridge sends undeliverable events to standard queues only. Use a standard queue.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    for target in wiring.rule_targets(scenario):
        if scenario.fifo(target.dead_letter_queue):
            name = scenario.name(target.target, "A target")
            problem = events.dead_letter_queue_standard(name, target.source)
            yield Finding(target.source, problem, target.at)


@rule("E9137", "scheduler", "sqs", shared=scheduler.dead_letter_queue)
def schedule_dead_letter_queue_fifo(scenario: Scenario) -> Findings:
    """A schedule's dead-letter queue must be standard.

    EventBridge Scheduler sends undeliverable events to standard queues only. Use a standard queue.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
    """
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        fifo = scenario.fifo(schedule.get("Target.DeadLetterConfig.Arn"))
        problem = scheduler.dead_letter_queue(schedule, fifo=bool(fifo))
        yield Finding(schedule, problem, ("Target", "DeadLetterConfig", "Arn"))


@rule("E9138", "events", "scheduler", "pipes", "sqs", shared=sqs.fifo_message)
def fifo_queue_parameters(scenario: Scenario) -> Findings:
    """A message to a FIFO queue needs a message group and a deduplication id.

    SQS rejects a message without a group or a deduplication id, so nothing arrives. Set
    MessageGroupId (SqsParameters of a rule or a schedule, SqsQueueParameters of a pipe) and
    ContentBasedDeduplication of the queue; a pipe may give a MessageDeduplicationId instead.
    """
    for sender, target, parameters, at in _sent(scenario):
        if not scenario.fifo(target) or isinstance(parameters, str):
            continue
        given = parameters if isinstance(parameters, Mapping) else {}
        queue = scenario.queue(target)
        problem = sqs.fifo_message(
            sender,
            queue or target,
            group="MessageGroupId" in given,
            deduplication="MessageDeduplicationId" in given,
            by_content=queue.flag("ContentBasedDeduplication") if queue else None,
            may_give_id=sender.type == "AWS::Pipes::Pipe",
        )
        yield Finding(sender, problem, at)


def _sent(scenario: Scenario) -> Iterator[tuple[Resource, Any, Any, At]]:
    """Yield what rules, schedules and pipes send to: the sender, the target, its parameters."""
    for source in scenario.of("AWS::Events::Rule"):
        for target in source.parts("Targets"):
            yield source, target.get("Arn"), target.get("SqsParameters"), target.at
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        parameters = schedule.get("Target.SqsParameters")
        yield schedule, schedule.get("Target.Arn"), parameters, ("Target",)
    for pipe in scenario.of("AWS::Pipes::Pipe"):
        parameters = pipe.get("TargetParameters.SqsQueueParameters")
        yield pipe, pipe.get("Target"), parameters, ("TargetParameters",)


@rule("E9139", "iot", "sqs")
def iot_rule_to_fifo(scenario: Scenario) -> Findings:
    """An IoT rule cannot send to a FIFO queue.

    The SQS action of an IoT rule supports standard queues only: every message is lost. Use a
    standard queue.

    Source: https://docs.aws.amazon.com/iot/latest/developerguide/sqs-rule-action.html
    """
    for iot_rule, action, _ in wiring.iot_actions(scenario):
        queue = scenario.queue(action.get("Sqs.QueueUrl"))
        if queue and queue.flag("FifoQueue"):
            yield Finding(
                iot_rule,
                f"{iot_rule} sends to the FIFO queue {queue}, which AWS IoT does not support: "
                "every message is lost. Use a standard queue.",
                action.at,
            )
