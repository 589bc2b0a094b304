"""Events that are never sent, or lost after one attempt: EventBridge, S3, asynchronous Lambda."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from serverless_patterns.patterns.checks import events, lambda_
from serverless_patterns.patterns.limits import LAMBDA_ASYNC_RETRIES, SQS_LAMBDA_MIN_CONCURRENCY

from .. import wiring
from ..template import At, Finding, Findings, Resource, Scenario, as_list, is_unknown, rule

CUSTOM = ("AWS::S3::Bucket", "Custom::", "AWS::CloudFormation::CustomResource")
HARMLESS = ("AWS::S3::BucketPolicy", "Custom::S3AutoDeleteObjects", "Custom::CDKBucketDeployment")
DEFAULT = re.compile(r"(^|/)default$")
EVENTBRIDGE = "NotificationConfiguration.EventBridgeConfiguration"


def _patterns(scenario: Scenario) -> Iterator[tuple[Resource, Mapping[str, Any], At]]:
    """Yield the event patterns of rules, and of SAM functions and state machines."""
    for source in scenario.of("AWS::Events::Rule"):
        pattern = source.get("EventPattern")
        if isinstance(pattern, Mapping):
            yield source, pattern, ("EventPattern",)


@rule("E9191", "s3", "events")
def bucket_without_eventbridge(scenario: Scenario) -> Findings:
    """A bucket sends events to EventBridge only when configured to.

    A rule that waits for a bucket's events gets none unless the bucket has
    EventBridgeConfiguration. Add it to the bucket's NotificationConfiguration.

    Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html
    """
    for source, pattern, at in _patterns(scenario):
        for bucket in _buckets(scenario, pattern):
            if not _sends_to_eventbridge(scenario, bucket):
                off = bucket.get(EVENTBRIDGE) is not None
                fix = "Set EventBridgeEnabled" if off else "Add EventBridgeConfiguration"
                yield Finding(
                    source,
                    f"{source} waits for events of {bucket}, which does not send any to "
                    f"EventBridge. {fix} in its NotificationConfiguration.",
                    at,
                )


def _buckets(scenario: Scenario, pattern: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the buckets of the template whose own events a pattern asks for."""
    detail = pattern.get("detail")
    bucket = detail.get("bucket") if isinstance(detail, Mapping) else None
    names = bucket.get("name") if isinstance(bucket, Mapping) else None
    if "aws.s3" in as_list(pattern.get("source")):
        for name in as_list(names):
            found = scenario.find(name, "AWS::S3::Bucket")
            if found:
                yield found


def _sends_to_eventbridge(scenario: Scenario, bucket: Resource) -> bool:
    """Tell whether a bucket may send to EventBridge: by itself, or by a custom resource."""
    for item in scenario.resources.values():
        of_it = item is bucket or f"${{{bucket.id}" in str(item.properties)
        if not of_it or item.type in HARMLESS or not item.type.startswith(CUSTOM):
            continue
        if item.type not in ("AWS::S3::Bucket", "Custom::S3BucketNotifications"):
            return True  # who knows what it does
        off = item.flag(f"{EVENTBRIDGE}.EventBridgeEnabled", default=True) is False
        if item.get(EVENTBRIDGE) is not None and not off:
            return True
    return False


@rule("W9192", "events", "scheduler", "sqs")
def one_attempt_only(scenario: Scenario) -> Findings:
    """A target that is not retried needs a dead-letter queue.

    With MaximumRetryAttempts 0, the target of a rule or of a schedule gets an event one time: what
    it does not accept at once, for example because it is throttled, is dropped. Let EventBridge
    retry, or add a DeadLetterConfig. A rule that is a schedule may do without.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    for source, target in _targets(scenario):
        once = target.number("RetryPolicy.MaximumRetryAttempts") == 0
        if once and not wiring.repeats(source) and target.get("DeadLetterConfig") is None:
            yield Finding(
                target,
                f"{source} sends to {scenario.name(target.get('Arn'), 'its target')} once and "
                "without a dead-letter queue: an event that is not accepted at once is dropped. "
                "Add a DeadLetterConfig.",
            )


def _targets(scenario: Scenario) -> Iterator[tuple[Resource, Resource]]:
    """Yield rules and schedules, each with a target."""
    for source in scenario.of("AWS::Events::Rule"):
        for target in source.parts("Targets"):
            yield source, target
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        target = schedule.get("Target")
        if isinstance(target, Mapping):
            yield schedule, replace(schedule, properties=target, at=("Target",))


def _unkept(scenario: Scenario) -> Iterator[tuple[Resource, str, Resource | None]]:
    """Yield functions of events without a place for failures: who sends, what is configured."""
    configured: dict[str, Resource] = {}
    kept = {f.id for f in scenario.of("AWS::Lambda::Function") if f.get("DeadLetterConfig")}
    for config in scenario.of("AWS::Lambda::EventInvokeConfig"):
        function = scenario.function(config.get("FunctionName"))
        if not function:
            if is_unknown(config.get("FunctionName")):
                return  # it may be for any function
            continue
        configured[function.id] = config
        if config.get("DestinationConfig.OnFailure"):
            kept.add(function.id)
    for function, source in wiring.functions_of_events(scenario):
        if function.id not in kept:
            yield function, source, configured.get(function.id)


@rule("W9193", "lambda", "events", "s3", "sns")
def no_retry_and_no_destination(scenario: Scenario) -> Findings:
    """An asynchronous function without retries needs a failure destination.

    With MaximumRetryAttempts 0, one error discards the event. Let Lambda retry, or add
    DestinationConfig.OnFailure, or a DeadLetterConfig of the function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    for function, source, config in _unkept(scenario):
        if config and config.number("MaximumRetryAttempts") == 0:
            yield Finding(
                config,
                f"{function} gets events from {source}, has no retries and no failure destination: "
                "one error loses the event. Add DestinationConfig.OnFailure.",
                ("MaximumRetryAttempts",),
            )


@rule("I9194", "lambda", "events", "s3", "sns")
def no_destination(scenario: Scenario) -> Findings:
    """An asynchronous function should have a failure destination.

    Lambda discards an event that failed after {LAMBDA_ASYNC_RETRIES} retries, or is too old. Add an
    AWS::Lambda::EventInvokeConfig with DestinationConfig.OnFailure, or a DeadLetterConfig of the
    function.

    Source: {LAMBDA_ASYNC_RETRIES.source}
    """
    unkept: dict[Resource, list[str]] = {}
    for function, source, config in _unkept(scenario):
        if not config or config.number("MaximumRetryAttempts", LAMBDA_ASYNC_RETRIES) != 0:
            unkept.setdefault(function, []).append(source)
    for function, sources in unkept.items():
        several = " and others" * (len(set(sources)) > 1)
        yield Finding(
            function,
            f"{function} gets events from {sources[0]}{several} and has no failure destination: an "
            "event that fails after its retries is discarded. Add DestinationConfig.OnFailure.",
        )


@rule(
    "W9195",
    "lambda",
    "sqs",
    "kinesis",
    "dynamodb",
    "events",
    "s3",
    "sns",
    shared=lambda_.never_runs,
)
def never_runs(scenario: Scenario) -> Findings:
    """A function that receives events must not have a reserved concurrency of zero.

    With ReservedConcurrentExecutions 0 every invocation is throttled: messages use up their
    receives, records expire, and asynchronous events go to the failure destination or are lost.
    Raise or remove it, or disable the mapping or the rule instead.
    """
    lost = "its events go to the failure destination or are lost"
    fed = [
        (function, source, lost, 1)
        for function, source in wiring.functions_of_events(scenario, planned=True)
    ]
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        function = scenario.function(mapping.get("FunctionName"))
        if function and mapping.flag("Enabled", default=True):
            of_queue = scenario.queue(mapping.get("EventSourceArn"))
            least = SQS_LAMBDA_MIN_CONCURRENCY if of_queue else 1
            otherwise = lambda_.THROTTLED_POLLS if of_queue else "its records expire"
            fed.append((function, mapping.id, otherwise, least))
    for function, source, otherwise, least in fed:
        name = f"{function}, which gets events from {source},"
        reserved = function.number("ReservedConcurrentExecutions")
        problem = lambda_.never_runs(name, reserved, otherwise, least)
        yield Finding(function, problem, ("ReservedConcurrentExecutions",))


@rule("E9199", "sns")
def nested_filter_policy(scenario: Scenario) -> Findings:
    """A filter policy on the message's body must say so.

    FilterPolicyScope is MessageAttributes unless it is given, and attributes do not nest: SNS
    rejects a nested FilterPolicy. Set FilterPolicyScope to MessageBody.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering-scope.html
    """
    for subscription in scenario.of("AWS::SNS::Subscription"):
        scope = subscription.get("FilterPolicyScope") or "MessageAttributes"
        policy = subscription.get("FilterPolicy")
        filters = policy.values() if isinstance(policy, Mapping) else ()
        if scope == "MessageAttributes" and any(isinstance(item, Mapping) for item in filters):
            yield Finding(
                subscription,
                f"{subscription} has a nested filter policy, but filters by attributes: SNS "
                "rejects it. Set FilterPolicyScope to MessageBody.",
                ("FilterPolicy",),
            )


@rule("E9203", "events")
def schedule_on_another_bus(scenario: Scenario) -> Findings:
    """A rule that is a schedule must be on the default bus.

    EventBridge runs schedules on the default event bus only, and rejects them on another one. Leave
    EventBusName out, or use an AWS::Scheduler::Schedule.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
    """
    for scheduled in scenario.of("AWS::Events::Rule"):
        bus = scheduled.get("EventBusName")
        own = scenario.find(bus, "AWS::Events::EventBus")
        other = own or (isinstance(bus, str) and not is_unknown(bus) and not DEFAULT.search(bus))
        if other and scheduled.get("ScheduleExpression") is not None:
            yield Finding(
                scheduled,
                f"{scheduled} is a schedule on the bus {own or bus}, but EventBridge runs "
                "schedules on the default bus only. Leave EventBusName out.",
                ("EventBusName",),
            )


@rule("E9204", "events", shared=events.sends_to_its_own_bus)
def rule_sends_to_its_own_bus(scenario: Scenario) -> Findings:
    """A rule must not send to its own bus.

    The event that it sends matches the rule again, without end. EventBridge stops such a loop of
    one rule, and counts it in DeadLetterInvocations: the event is lost. Send to another bus, or
    to a function that publishes another type of event.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-patterns-best-practices.html
    """
    for target in wiring.rule_targets(scenario):
        own = scenario.find(target.source.get("EventBusName"), "AWS::Events::EventBus")
        if own and scenario.find(target.target, "AWS::Events::EventBus") is own:
            problem = events.sends_to_its_own_bus(target.source, own)
            yield Finding(target.source, problem, target.at)
