"""Who delivers to what, by rules, bucket notifications and subscriptions, and who may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .template import REFERENCE, as_list, is_unknown

if TYPE_CHECKING:
    from .template import At, Resource, Scenario

NOTIFIED = {
    "QueueConfigurations": ("Queue", "QueueArn"),
    "TopicConfigurations": ("Topic", "TopicArn"),
    "LambdaConfigurations": ("Function",),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn",),
}
ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
ORIGINS = ("AWS::Events::Rule", "AWS::S3::Bucket", "AWS::SNS::Topic", *ALARMS)
ASYNCHRONOUS = ("S3", "SNS", "EventBridgeRule", "CloudWatchEvent")


@dataclass(frozen=True)
class Delivery:
    """A service that hands events to a target, and the property that says so."""

    source: Resource
    service: str
    target: Any
    at: At
    role: Any = None
    dead_letter_queue: Any = None


def rule_targets(scenario: Scenario) -> Iterator[Delivery]:
    """Yield the targets of EventBridge rules."""
    for rule in scenario.of("AWS::Events::Rule"):
        for target in rule.parts("Targets"):
            arn, role, dead = map(target.get, ("Arn", "RoleArn", "DeadLetterConfig.Arn"))
            yield Delivery(rule, "events.amazonaws.com", arn, target.at, role, dead)


def bucket_notifications(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what buckets notify, as CloudFormation and as the CDK write it."""
    for bucket in scenario.of("AWS::S3::Bucket", "Custom::S3BucketNotifications"):
        for kind, keys in NOTIFIED.items():
            for item in bucket.parts(f"NotificationConfiguration.{kind}"):
                target = next(filter(None, map(item.get, keys)), None)
                yield Delivery(bucket, "s3.amazonaws.com", target, item.at)


def subscriptions(scenario: Scenario) -> Iterator[Resource]:
    """Yield every subscription, as a resource of its own or as a part of its topic."""
    yield from scenario.of("AWS::SNS::Subscription")
    for topic in scenario.of("AWS::SNS::Topic"):
        for item in topic.parts("Subscription"):
            yield replace(item, properties={**item.properties, "TopicArn": f"${{{topic.id}}}"})


def alarm_actions(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what alarms notify."""
    for alarm in scenario.of(*ALARMS):
        for index, action in enumerate(alarm.list("AlarmActions")):
            yield Delivery(alarm, "cloudwatch.amazonaws.com", action, ("AlarmActions", index))


def deliveries(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what a service principal delivers: to targets, not as failures."""
    yield from (delivery for delivery in rule_targets(scenario) if not delivery.role)
    yield from bucket_notifications(scenario)
    for item in subscriptions(scenario):
        if item.get("Protocol") in ("sqs", "lambda"):
            yield Delivery(item, "sns.amazonaws.com", item.get("Endpoint"), ("Protocol",))


def functions_of_events(scenario: Scenario) -> Iterator[tuple[Resource, str]]:
    """Yield the functions that get events asynchronously, and from what; schedules do not count."""
    for delivery in deliveries(scenario):
        function = scenario.function(delivery.target)
        planned = delivery.source.get("ScheduleExpression") is not None
        if function and not planned:
            yield function, delivery.source.id
    for function in scenario.of("AWS::Lambda::Function"):
        for event in function.parts("Events"):
            direct = "SqsSubscription" not in str(event.properties)
            if direct and event.get("Type") in ASYNCHRONOUS:
                yield function, f"its event {event.at[-1]}"


def failures(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what a service principal delivers to a dead-letter queue."""
    for rule in rule_targets(scenario):
        at = (*rule.at, "DeadLetterConfig")
        yield Delivery(rule.source, rule.service, rule.dead_letter_queue, at)
    for subscription in scenario.of("AWS::SNS::Subscription"):
        target, at = subscription.get("RedrivePolicy.deadLetterTargetArn"), ("RedrivePolicy",)
        yield Delivery(subscription, "sns.amazonaws.com", target, at)


def is_from(scenario: Scenario, arn: Any, source: Resource) -> bool:
    """Tell whether a source ARN in a policy may be of what delivers: not when it names another."""
    behind = {"AWS::SNS::Subscription": "TopicArn", "Custom::S3BucketNotifications": "BucketName"}
    place = behind.get(source.type)
    origin = scenario.find(source.get(place), *ORIGINS) if place else source
    names = [name for name, _ in REFERENCE.findall(arn)] if isinstance(arn, str) else []
    named = [item for name in names if (item := scenario.find(f"${{{name}}}", *ORIGINS))]
    return origin is None or not named or origin in named


def key(scenario: Scenario, value: Any) -> Resource | None:
    """Return the KMS key of the template that a value names, behind an alias too."""
    found = scenario.find(value, "AWS::KMS::Key", "AWS::KMS::Alias")
    if found and found.type == "AWS::KMS::Alias":
        return scenario.find(found.get("TargetKeyId"), "AWS::KMS::Key")
    return found


def consumed_queues(scenario: Scenario) -> Iterator[tuple[Resource, Resource]]:
    """Yield the queues that functions and pipes consume, each with its mapping or pipe."""
    consumers = [
        *((item, "EventSourceArn") for item in scenario.of("AWS::Lambda::EventSourceMapping")),
        *((item, "Source") for item in scenario.of("AWS::Pipes::Pipe")),
    ]
    for consumer, place in consumers:
        queue = scenario.queue(consumer.get(place))
        if queue:
            yield consumer, queue


def statements(document: Any) -> list[Mapping[str, Any]] | None:
    """Return a policy's statements; None when the policy is not known."""
    listed: list[Any] = [None]
    if isinstance(document, Mapping):
        listed = as_list(document.get("Statement"))
    return listed if all(isinstance(item, Mapping) for item in listed) else None


def allows_an_account(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement may allow others than services."""
    principal = statement.get("Principal")
    services_only = isinstance(principal, Mapping) and list(principal) == ["Service"]
    return statement.get("Effect") != "Deny" and not services_only


def services(statement: Mapping[str, Any]) -> list[Any]:
    """Return the service principals of a statement."""
    principal = statement.get("Principal")
    return as_list(principal.get("Service")) if isinstance(principal, Mapping) else []


def allows_service(document: Any, service: str) -> bool:
    """Tell whether a policy may allow a service: by name, by everyone, or unknown."""
    listed = statements(document)
    if listed is None:
        return True
    for statement in listed:
        principal = statement.get("Principal")
        everyone = principal == "*" or (
            isinstance(principal, Mapping) and "*" in as_list(principal.get("AWS"))
        )
        named = services(statement)
        if statement.get("Effect") == "Allow" and (
            everyone or service in named or is_unknown(principal_names(principal))
        ):
            return True
    return False


def principal_names(principal: Any) -> Any:
    """Return what could hide a service: a principal that is unknown as a whole, or by service."""
    return as_list(principal.get("Service")) if isinstance(principal, Mapping) else principal


def allows(statement: Mapping[str, Any], action: str) -> bool:
    """Tell whether a statement allows an action, which is known."""
    actions = [str(item).lower() for item in as_list(statement.get("Action"))]
    matched = any(fnmatchcase(action.lower(), pattern) for pattern in actions)
    return statement.get("Effect") == "Allow" and matched
