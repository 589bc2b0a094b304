"""Who delivers to what, by rules, bucket notifications and subscriptions, and who may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import policies
from .template import is_unknown

if TYPE_CHECKING:
    from .template import At, Resource, Scenario

NOTIFIED = {
    "QueueConfigurations": ("Queue", "QueueArn"),
    "TopicConfigurations": ("Topic", "TopicArn"),
    "LambdaConfigurations": ("Function",),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn",),
}
NOTIFIERS = ("AWS::S3::Bucket", "Custom::S3BucketNotifications")
ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
IOT, LOGS = "AWS::IoT::TopicRule", "AWS::Logs::SubscriptionFilter"
# They invoke asynchronously whatever lets them; a rule of EventBridge may be a schedule.
ASYNCHRONOUS = ("iot.amazonaws.com", "logs.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com")
ORIGINS = ("AWS::Events::Rule", "AWS::S3::Bucket", "AWS::SNS::Topic", IOT, *ALARMS)


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
    for bucket in scenario.of(*NOTIFIERS):
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


def iot_actions(scenario: Scenario) -> Iterator[tuple[Resource, Resource, bool]]:
    """Yield IoT rules, each with an action, an object of one key, and whether it is for errors."""
    for rule in scenario.of(IOT):
        for action in rule.parts("TopicRulePayload.Actions"):
            yield rule, action, False
        failed = rule.get("TopicRulePayload.ErrorAction")
        if isinstance(failed, Mapping):
            at = ("TopicRulePayload", "ErrorAction")
            yield rule, replace(rule, properties=failed, at=at), True


def calls(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what else invokes functions as a service: IoT rules and log groups."""
    for rule, action, _ in iot_actions(scenario):
        if action.get("Lambda") is not None:
            yield Delivery(rule, "iot.amazonaws.com", action.get("Lambda.FunctionArn"), action.at)
    for item in scenario.of(LOGS):
        if item.get("RoleArn") is None:
            target = item.get("DestinationArn")
            yield Delivery(item, "logs.amazonaws.com", target, ("DestinationArn",))


def deliveries(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what a service principal delivers: to targets, not as failures."""
    yield from (delivery for delivery in rule_targets(scenario) if not delivery.role)
    yield from bucket_notifications(scenario)
    for item in subscriptions(scenario):
        if item.get("Protocol") in ("sqs", "lambda"):
            yield Delivery(item, "sns.amazonaws.com", item.get("Endpoint"), ("Protocol",))
    yield from calls(scenario)


def is_permitted_by_sam(delivery: Delivery) -> bool:
    """Tell whether it is an event of SAM, which permits the delivery to its target itself."""
    return "/" in delivery.source.id


def repeats(resource: Resource) -> bool:
    """Tell whether it is a rule that is a schedule: what it sends, it sends again, and again."""
    scheduled = resource.get("ScheduleExpression") is not None
    return scheduled and resource.type == "AWS::Events::Rule"


def functions_of_events(
    scenario: Scenario, *, planned: bool = False
) -> Iterator[tuple[Resource, str]]:
    """Yield the functions that get events asynchronously, and from what.

    Args:
        scenario: The template.
        planned: Whether rules that are schedules count. Default: they do not.
    """
    schedules = scenario.of("AWS::Scheduler::Schedule")
    here = set()
    for source, target in (
        *((delivery.source, delivery.target) for delivery in deliveries(scenario)),
        *((schedule, schedule.get("Target.Arn")) for schedule in schedules),
    ):
        function = scenario.function(target)
        here.add(function)
        state = source.get("State")
        on = state != "DISABLED" and not is_unknown(state)
        if function and on and (planned or not repeats(source)):
            yield function, source.id
    for permission in scenario.of("AWS::Lambda::Permission"):
        function = scenario.function(permission.get("FunctionName"))
        who = str(permission.get("Principal"))
        sends = any(policies.is_service(who, service) for service in ASYNCHRONOUS)
        if function and function not in here and sends:
            yield function, who


def failures(scenario: Scenario) -> Iterator[Delivery]:
    """Yield what a service principal delivers to a dead-letter queue."""
    for rule in rule_targets(scenario):
        at = (*rule.at, "DeadLetterConfig")
        yield Delivery(rule.source, rule.service, rule.dead_letter_queue, at)
    for subscription in scenario.of("AWS::SNS::Subscription"):
        target, at = subscription.get("RedrivePolicy.deadLetterTargetArn"), ("RedrivePolicy",)
        yield Delivery(subscription, "sns.amazonaws.com", target, at)


def origins(scenario: Scenario, source: Resource) -> tuple[Resource, ...]:
    """Return whose ARN a delivery has as its source; nothing when that is not known."""
    behind = {"AWS::SNS::Subscription": "TopicArn", "Custom::S3BucketNotifications": "BucketName"}
    place = behind.get(source.type)
    found = scenario.find(source.get(place), *ORIGINS) if place else source
    return (found,) if found and found.type in ORIGINS else ()


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
