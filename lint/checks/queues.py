"""Queues and their dead-letter queues."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import sqs
from serverless_patterns.patterns.limits import (
    SQS_DEFAULT_RETENTION,
    SQS_DEFAULT_VISIBILITY,
    SQS_LAMBDA_MIN_RECEIVES,
)

from .. import wiring
from ..definitions import definition, tasks
from ..template import At, Finding, Findings, Resource, Scenario, rule
from . import alarms

SENDS = re.compile(r":(?:states:::(?:aws-sdk:)?|scheduler:::aws-sdk:)sqs:sendMessage\b")


def _with_dead_letter_queue(scenario: Scenario) -> Iterator[tuple[Resource, Resource]]:
    for queue in scenario.of("AWS::SQS::Queue"):
        target = scenario.queue(queue.get("RedrivePolicy.deadLetterTargetArn"))
        if target:
            yield queue, target


@rule("E9101", "sqs", shared=sqs.dead_letter_queue_type)
def dead_letter_queue_type(scenario: Scenario) -> Findings:
    """A dead-letter queue must be of its source queue's type.

    SQS moves the messages of a FIFO queue to a FIFO queue only, and those of a standard queue to a
    standard queue only. Make both queues FIFO, or both standard.
    """
    for queue in scenario.of("AWS::SQS::Queue"):
        own = queue.flag("FifoQueue")
        other = scenario.fifo(queue.get("RedrivePolicy.deadLetterTargetArn"))
        if own is not None and other is not None:
            problem = sqs.dead_letter_queue_type(queue, fifo=own, dead_letter_fifo=other)
            yield Finding(queue, problem, ("RedrivePolicy",))


@rule("W9102", "sqs", "lambda", "pipes", shared=sqs.no_dead_letter_queue)
def no_dead_letter_queue(scenario: Scenario) -> Findings:
    """A consumed queue needs a dead-letter queue.

    A message that always fails is retried until its retention period ends, and is then deleted.
    Give the queue a RedrivePolicy with a dead-letter queue.
    """
    for consumer, queue in wiring.consumed_queues(scenario):
        drained = queue.id in scenario.dead_letter_queues  # such a consumer may be the last one
        if not drained and queue.get("RedrivePolicy") is None:
            yield Finding(queue, sqs.no_dead_letter_queue(f"{queue}, consumed by {consumer},"))


@rule("I9107", "sqs")
def consumed_elsewhere(scenario: Scenario) -> Findings:
    """A queue whose consumer is elsewhere should have a dead-letter queue too.

    No function and no pipe of the template consumes the queue, so something else does: what it
    cannot process is received again until the retention period ends, and is then deleted. Give the
    queue a RedrivePolicy with a dead-letter queue. A queue with an alarm on its first message waits
    for a person, and needs none.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    consumed = {queue.id for _, queue in wiring.consumed_queues(scenario)} | alarms.parked(scenario)
    for queue in scenario.of("AWS::SQS::Queue"):
        known = queue.id in consumed or queue.id in scenario.dead_letter_queues
        if not known and queue.get("RedrivePolicy") is None:
            yield Finding(
                queue,
                f"{queue} has no dead-letter queue: a message that its consumer never processes "
                "is deleted when its retention period ends. Give the queue a RedrivePolicy.",
            )


@rule("W9103", "sqs", shared=sqs.dead_letter_retention)
def dead_letter_retention(scenario: Scenario) -> Findings:
    """A standard dead-letter queue must keep messages longer than its source.

    A message of a standard queue keeps its enqueue time when it is dead-lettered, so its time in
    the source queue counts. Make the dead-letter queue's MessageRetentionPeriod the longer one
    ({SQS_MAX_RETENTION} s at most).
    """
    for queue, target in _with_dead_letter_queue(scenario):
        kept, there = (
            item.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION) for item in (queue, target)
        )
        fifo = any(item.flag("FifoQueue") is not False for item in (queue, target))
        if kept is not None and there is not None:
            problem = sqs.dead_letter_retention(queue, kept, target, there, fifo=fifo)
            yield Finding(target, problem, ("MessageRetentionPeriod",))


@rule("W9104", "sqs", "lambda", "pipes", shared=sqs.receives)
def receives(scenario: Scenario, *, least: int = SQS_LAMBDA_MIN_RECEIVES) -> Findings:
    """A consumed queue needs a maxReceiveCount of at least {SQS_LAMBDA_MIN_RECEIVES}.

    A throttled poll counts as a receive, so a lower count dead-letters good messages. Raise
    maxReceiveCount in RedrivePolicy.
    """
    for consumer, queue in wiring.consumed_queues(scenario):
        count = queue.number("RedrivePolicy.maxReceiveCount")
        if count is not None:
            problem = sqs.receives(f"{queue}, consumed by {consumer},", count, least)
            yield Finding(queue, problem, ("RedrivePolicy", "maxReceiveCount"))


@rule("E9105", "sqs", shared=sqs.redrive_allowed)
def redrive_allowed(scenario: Scenario) -> Findings:
    """A dead-letter queue must allow its source queue.

    A RedriveAllowPolicy of denyAll, or one that names other queues, keeps the source queue from
    using the dead-letter queue, and SQS rejects it. Name the source in sourceQueueArns, or allow
    all.
    """
    for queue, target in _with_dead_letter_queue(scenario):
        reason = _denies(scenario, target.get("RedriveAllowPolicy"), queue)
        yield Finding(target, sqs.redrive_allowed(queue, target, reason), ("RedriveAllowPolicy",))


def _denies(scenario: Scenario, policy: Any, queue: Resource) -> str | None:
    """Return what a RedriveAllowPolicy says against a queue; None also when that is not known."""
    if not isinstance(policy, Mapping):
        return None
    permission, listed = policy.get("redrivePermission"), policy.get("sourceQueueArns")
    if permission != "byQueue" or not isinstance(listed, list):
        return "denies all" if permission == "denyAll" else None
    sources = [scenario.queue(arn) for arn in listed]
    return None if None in sources or queue in sources else "names other queues only"


@rule("W9106", "sqs", "lambda", "pipes", shared=sqs.expires_before_dead_lettering)
def expires_before_dead_lettering(scenario: Scenario) -> Findings:
    """A queue must keep a message until its receives are used up.

    A message that fails is received again when its visibility timeout ends. When maxReceiveCount x
    the visibility timeout reaches the retention period, it is deleted before it is dead-lettered.
    Raise MessageRetentionPeriod, or lower maxReceiveCount or VisibilityTimeout.
    """
    for _, queue in wiring.consumed_queues(scenario):
        count = queue.number("RedrivePolicy.maxReceiveCount")
        hidden = queue.number("VisibilityTimeout", SQS_DEFAULT_VISIBILITY)
        kept = queue.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION)
        if count is not None and hidden is not None and kept is not None:
            problem = sqs.expires_before_dead_lettering(queue, count, hidden, kept)
            yield Finding(queue, problem, ("RedrivePolicy", "maxReceiveCount"))


@rule("E9231", "sqs", shared=sqs.expires_while_delayed)
def expires_while_delayed(scenario: Scenario) -> Findings:
    """A queue must keep a message for longer than it delays it.

    The retention period begins when the message is sent, so a delay as long as that deletes every
    message before anybody can receive it. Raise MessageRetentionPeriod, or lower DelaySeconds.
    """
    for queue in scenario.of("AWS::SQS::Queue"):
        kept = queue.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION)
        delayed = queue.number("DelaySeconds")
        if kept is not None and delayed is not None:
            problem = sqs.expires_while_delayed(queue, delayed, kept)
            yield Finding(queue, problem, ("DelaySeconds",))


@rule("E9232", "sqs", "stepfunctions", "scheduler", shared=sqs.message_delay)
def message_delay(scenario: Scenario) -> Findings:
    """A message may have a delay of its own in a standard queue only, of {SQS_MAX_DELAY} s at most.

    SQS rejects DelaySeconds of a message to a FIFO queue, and a longer one of any message. Delay
    the whole queue, or let EventBridge Scheduler send the message when it is due.
    """
    for sender, name, sent, at in _sent(scenario):
        if "DelaySeconds" in {key.removesuffix(".$") for key in sent}:
            queue, given = scenario.queue(sent.get("QueueUrl")), sent.get("DelaySeconds")
            seconds = given if isinstance(given, int) else None
            fifo = queue.flag("FifoQueue") if queue else _fifo_url(sent.get("QueueUrl"))
            called = queue or scenario.name(sent.get("QueueUrl"), "a queue")
            problem = sqs.message_delay(name, called, seconds, fifo=fifo)
            yield Finding(sender, problem, at)


def _sent(scenario: Scenario) -> Iterator[tuple[Resource, object, Mapping[str, Any], At]]:
    """Yield what state machines and schedules send: the sender, its name, the message, and where.

    The queue's URL is that of ``QueueUrl``, of whatever language the state machine speaks.
    """
    for machine in scenario.of("AWS::StepFunctions::StateMachine"):
        for step, task in tasks(definition(machine)):
            sent = task.get("Parameters") or task.get("Arguments")
            if SENDS.search(str(task.get("Resource"))) and isinstance(sent, Mapping):
                yield machine, f"{step} of {machine}", sent, ("DefinitionString",)
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        if SENDS.search(str(schedule.get("Target.Arn"))):
            try:
                sent = json.loads(str(schedule.get("Target.Input")))
            except ValueError:
                continue
            if isinstance(sent, Mapping):
                yield schedule, schedule, sent, ("Target", "Input")


def _fifo_url(url: Any) -> bool | None:
    """Tell whether the URL of a queue that is not in the template is of a FIFO queue."""
    return str(url).endswith(".fifo") or None
