"""Events that are never sent, or lost after one try: EventBridge, S3, asynchronous Lambda."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import template, wiring

DOCS = "https://docs.aws.amazon.com"
ASYNC_PAGE = f"{DOCS}/lambda/latest/dg/invocation-async-error-handling.html"
RULES = ("EventBridgeRule", "CloudWatchEvent")  # a SAM function's events that are rules
CUSTOM = ("AWS::S3::Bucket", "Custom::", "AWS::CloudFormation::CustomResource")
HARMLESS = ("AWS::S3::BucketPolicy", "Custom::S3AutoDeleteObjects", "Custom::CDKBucketDeployment")


def _patterns(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, Mapping[str, Any], tuple[str | int, ...]]]:
    """Yield the event patterns of rules, and of SAM functions and state machines."""
    for rule in scenario.of("AWS::Events::Rule"):
        pattern = rule.get("EventPattern")
        if isinstance(pattern, Mapping):
            yield rule, pattern, ("EventPattern",)
    for owner in scenario.of("AWS::Lambda::Function", "AWS::Serverless::StateMachine"):
        events = owner.get("Events")
        for key, event in events.items() if isinstance(events, Mapping) else ():
            if isinstance(event, Mapping) and event.get("Type") in RULES:
                properties = event.get("Properties")
                pattern = properties.get("Pattern") if isinstance(properties, Mapping) else None
                if isinstance(pattern, Mapping):
                    yield owner, pattern, ("Events", key)


class BucketWithoutEventBridge(template.Rule):
    id = "E9191"
    shortdesc = "A bucket sends events to EventBridge only when told to"
    description = (
        "A rule that waits for a bucket's events gets none unless the bucket has "
        "EventBridgeConfiguration. Add it to the bucket's NotificationConfiguration."
    )
    source_url = f"{DOCS}/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html"
    tags = ["s3", "events"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for rule, pattern, at in _patterns(scenario):
            for bucket in _buckets(scenario, pattern):
                if not _sends_to_eventbridge(scenario, bucket):
                    yield template.Finding(
                        rule,
                        f"{rule.id} waits for events of {bucket.id}, which does not send any to "
                        "EventBridge. Add EventBridgeConfiguration to its "
                        "NotificationConfiguration.",
                        at,
                    )


def _buckets(
    scenario: template.Scenario, pattern: Mapping[str, Any]
) -> Iterator[template.Resource]:
    """Yield the buckets of the template whose own events a pattern asks for."""
    detail = pattern.get("detail")
    bucket = detail.get("bucket") if isinstance(detail, Mapping) else None
    names = bucket.get("name") if isinstance(bucket, Mapping) else None
    if "aws.s3" in template.as_list(pattern.get("source")):
        for name in template.as_list(names):
            found = scenario.find(name, "AWS::S3::Bucket")
            if found:
                yield found


def _sends_to_eventbridge(scenario: template.Scenario, bucket: template.Resource) -> bool:
    """Tell whether a bucket may send to EventBridge: by itself, or by a custom resource."""
    place = "NotificationConfiguration.EventBridgeConfiguration"
    for item in scenario.resources.values():
        of_it = item is bucket or f"${{{bucket.id}" in str(item.properties)
        if not of_it or item.type in HARMLESS or not item.type.startswith(CUSTOM):
            continue
        if item.type not in ("AWS::S3::Bucket", "Custom::S3BucketNotifications"):
            return True  # who knows what it does
        off = item.flag(f"{place}.EventBridgeEnabled", default=True) is False
        if item.get(place) is not None and not off:
            return True
    return False


class OneTryOnly(template.Rule):
    id = "W9192"
    shortdesc = "A rule's target that is not retried needs a dead-letter queue"
    description = (
        "With MaximumRetryAttempts 0, an event that the target cannot take at once, as when it is "
        "throttled, is dropped. Let EventBridge retry, or add a DeadLetterConfig."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-rule-dlq.html"
    tags = ["events", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for rule in scenario.of("AWS::Events::Rule"):
            for index, target in enumerate(rule.list("Targets")):
                policy = target.get("RetryPolicy") if isinstance(target, Mapping) else None
                tries = policy.get("MaximumRetryAttempts") if isinstance(policy, Mapping) else None
                if str(tries) != "0" or rule.get("ScheduleExpression") is not None:
                    continue
                if target.get("DeadLetterConfig") is None:
                    yield template.Finding(
                        rule,
                        f"A target of {rule.id} is not retried and has no dead-letter queue: an "
                        "event that it cannot take at once is dropped. Add a DeadLetterConfig.",
                        ("Targets", index),
                    )


def _unkept(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, str, template.Resource | None]]:
    """Yield functions of events without a place for failures: who sends, what is configured."""
    configured: dict[str, template.Resource] = {}
    kept = {f.id for f in scenario.of("AWS::Lambda::Function") if f.get("DeadLetterConfig")}
    for config in scenario.of("AWS::Lambda::EventInvokeConfig"):
        function = scenario.function(config.get("FunctionName"))
        if not function:
            return  # it may be for any function
        configured[function.id] = config
        if config.get("DestinationConfig.OnFailure"):
            kept.add(function.id)
    for function, source in wiring.functions_of_events(scenario):
        if function.id not in kept:
            yield function, source, configured.get(function.id)


class NoRetryAndNoDestination(template.Rule):
    id = "W9193"
    shortdesc = "A function of events that is not retried needs a failure destination"
    description = (
        "With MaximumRetryAttempts 0, one error discards the event. Let Lambda retry, or add "
        "DestinationConfig.OnFailure, or a DeadLetterConfig of the function."
    )
    source_url = ASYNC_PAGE
    tags = ["lambda", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for function, source, config in _unkept(scenario):
            if config and config.number("MaximumRetryAttempts") == 0:
                yield template.Finding(
                    config,
                    f"{function.id} gets events from {source}, is not retried and keeps failures "
                    "nowhere: one error loses the event. Add DestinationConfig.OnFailure.",
                    ("MaximumRetryAttempts",),
                )


class NoDestination(template.Rule):
    id = "I9194"
    shortdesc = "A function of events should have a failure destination"
    description = (
        "Lambda discards an event that failed three times, or is too old. Add an "
        "AWS::Lambda::EventInvokeConfig with DestinationConfig.OnFailure, or a DeadLetterConfig of "
        "the function."
    )
    source_url = ASYNC_PAGE
    tags = ["lambda", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for function, source, config in _unkept(scenario):
            if not config or config.number("MaximumRetryAttempts", 2) != 0:
                yield template.Finding(
                    function,
                    f"{function.id} gets events from {source} and keeps failures nowhere: what "
                    "fails three times is discarded. Add DestinationConfig.OnFailure.",
                )


class NoExecutions(template.Rule):
    id = "W9195"
    shortdesc = "A function of events must not reserve zero executions"
    description = (
        "With ReservedConcurrentExecutions 0 every invocation is throttled: messages use up their "
        "receives, records expire, and asynchronous events go to the failure destination or are "
        "lost. Reserve some, or disable the mapping or the rule instead."
    )
    source_url = f"{DOCS}/lambda/latest/dg/configuration-concurrency.html"
    tags = ["lambda", "sqs", "kinesis", "dynamodb", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        fed = list(wiring.functions_of_events(scenario))
        for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
            function = scenario.function(mapping.get("FunctionName"))
            if function and mapping.flag("Enabled", default=True):
                fed.append((function, mapping.id))
        for function, source in fed:
            if function.number("ReservedConcurrentExecutions") == 0:
                yield template.Finding(
                    function,
                    f"{function.id} gets events from {source} and reserves 0 executions: it never "
                    "runs. Reserve some, or disable what feeds it.",
                    ("ReservedConcurrentExecutions",),
                )


class NestedFilterPolicy(template.Rule):
    id = "E9199"
    shortdesc = "A filter policy on the message's body must say so"
    description = (
        "FilterPolicyScope is MessageAttributes unless it is given, and attributes do not nest: "
        "SNS rejects a nested FilterPolicy. Set FilterPolicyScope to MessageBody."
    )
    source_url = f"{DOCS}/sns/latest/dg/sns-message-filtering-scope.html"
    tags = ["sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for subscription in scenario.of("AWS::SNS::Subscription"):
            scope = subscription.get("FilterPolicyScope") or "MessageAttributes"
            policy = subscription.get("FilterPolicy")
            rules = policy.values() if isinstance(policy, Mapping) else ()
            if scope == "MessageAttributes" and any(isinstance(rule, Mapping) for rule in rules):
                yield template.Finding(
                    subscription,
                    f"{subscription.id} has a nested filter policy, but filters by attributes: "
                    "SNS rejects it. Set FilterPolicyScope to MessageBody.",
                    ("FilterPolicy",),
                )
