"""Who may send to a queue or a topic, and who may invoke a function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serverless_patterns.patterns.checks import lambda_

from .. import wiring
from ..template import Finding, Findings, Resource, Scenario, as_list, is_unknown, rule

PERMISSION = "AWS::Lambda::Permission"
EVENT_SOURCES = ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com")
ASKS_FOR = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
QUEUE, TOPIC = "AWS::SQS::Queue", "AWS::SNS::Topic"
POLICIES = {
    QUEUE: ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy"),
    TOPIC: ("AWS::SNS::TopicPolicy", "AWS::SNS::TopicInlinePolicy"),
}
ACTIONS = {QUEUE: "sqs:SendMessage", TOPIC: "sns:Publish"}


@rule("W9161", "sqs", "lambda", "iam", shared=lambda_.invoked_for_anybody)
def confused_deputy(scenario: Scenario) -> Findings:
    """A policy should limit for whom a service may send or invoke.

    A statement that allows a service without naming the source lets anyone's rule, bucket or topic
    send to the queue, or invoke the function. Add a Condition on aws:SourceArn or
    aws:SourceAccount, or SourceArn of an AWS::Lambda::Permission.
    """
    for policy in scenario.of(*POLICIES[QUEUE]):
        for statement in wiring.statements(policy.get("PolicyDocument")) or []:
            named = [name for name in wiring.services(statement) if isinstance(name, str)]
            if not named or not wiring.allows(statement, ACTIONS[QUEUE]):
                continue
            if not _limits_the_source(statement.get("Condition")):
                yield Finding(
                    policy,
                    f"{policy} lets {', '.join(named)} send for anybody's resources. Add a "
                    "Condition on aws:SourceArn or aws:SourceAccount.",
                    ("PolicyDocument",),
                )
    for permission in scenario.of(PERMISSION):
        service = permission.get("Principal")
        limits = map(permission.get, ("SourceArn", "SourceAccount", "PrincipalOrgID"))
        if service in EVENT_SOURCES and not any(limits):
            yield Finding(permission, lambda_.invoked_for_anybody(permission, service))


def _limits_the_source(condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return condition is not None
    keys = [key for test in condition.values() if isinstance(test, Mapping) for key in test]
    limits = ("aws:source", "aws:principal")
    return any(str(key).lower().startswith(limits) for key in keys) or is_unknown(condition)


def _denied(
    scenario: Scenario, deliveries: Iterable[wiring.Delivery], kind: str, does: str, so: str
) -> Findings:
    """Yield what no policy of its target allows; nothing when a policy cannot be seen."""
    found = [(delivery, scenario.find(delivery.target, kind)) for delivery in deliveries]
    policies = scenario.of(*POLICIES[kind])
    named = [(item, scenario.find(name, kind)) for item in policies for name in _targets(item)]
    if scenario.has_hidden_permissions or any(target is None for _, target in named):
        return
    for delivery, target in found:
        own = [item.get("PolicyDocument") for item, other in named if other is target]
        meant = [_for_source(scenario, document, delivery.source) for document in own]
        allowed = any(wiring.allows_service(document, delivery.service) for document in meant)
        if target and not allowed:
            yield Finding(
                delivery.source,
                f"{delivery.source} {does} {target}, whose policy does not allow "
                f"{delivery.service}: {so}. Add an {POLICIES[kind][0]} that allows it "
                f"{ACTIONS[kind]}.",
                delivery.at,
            )


def _for_source(scenario: Scenario, document: Any, source: Resource) -> Any:
    """Return a policy without the statements that are for another source."""
    listed = wiring.statements(document)
    if listed is None:
        return document
    meant = [
        statement
        for statement in listed
        if not (arns := _source_arns(statement.get("Condition")))
        or any(wiring.is_from(scenario, arn, source) for arn in arns)
    ]
    return {"Statement": meant}


def _source_arns(condition: Any) -> list[Any]:
    """Return the source ARNs that a condition asks for."""
    tests = condition.items() if isinstance(condition, Mapping) else ()
    return [
        arn
        for test, keys in tests
        if test in ASKS_FOR and isinstance(keys, Mapping)
        for key, value in keys.items()
        if str(key).lower() == "aws:sourcearn"
        for arn in as_list(value)
    ]


def _targets(policy: Resource) -> list[Any]:
    """Return the queues or topics that a policy is of; one that is not known is UNKNOWN."""
    listed = map(policy.get, ("Queues", "Queue", "Topics", "TopicArn"))
    return [name for item in listed for name in as_list(item)]


@rule("E9162", "sqs", "events", "sns", "s3")
def queue_not_open(scenario: Scenario) -> Findings:
    """A queue needs a policy that allows the service that sends to it.

    EventBridge and SNS drop events that they are not allowed to deliver, without an error to the
    sender; S3 rejects the notification. Add an AWS::SQS::QueuePolicy that allows the service
    sqs:SendMessage, with aws:SourceArn.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    return _denied(scenario, wiring.deliveries(scenario), QUEUE, "sends to", "nothing arrives")


@rule("E9163", "lambda", "events", "s3", "sns")
def not_allowed_to_invoke(scenario: Scenario) -> Findings:
    """A rule, a bucket or a topic needs a permission to invoke its function.

    EventBridge and SNS drop an event if they are not allowed to invoke the function; S3 rejects the
    notification. Add an AWS::Lambda::Permission for the service, with the rule, bucket or topic as
    SourceArn.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
    """
    if scenario.has_hidden_permissions:
        return
    permissions = [
        (scenario.function(item.get("FunctionName")), item) for item in scenario.of(PERMISSION)
    ]
    if any(function is None for function, _ in permissions):
        return  # it may be for any function
    for delivery in wiring.deliveries(scenario):
        function = scenario.function(delivery.target)
        own = [item for other, item in permissions if other is function]
        if function and not any(_permits(scenario, item, delivery) for item in own):
            yield Finding(
                delivery.source,
                f"{delivery.source} is not allowed to invoke {function}: every event is lost. Add "
                f"an AWS::Lambda::Permission for {delivery.service}.",
                delivery.at,
            )


def _permits(scenario: Scenario, permission: Resource, delivery: wiring.Delivery) -> bool:
    principal = permission.get("Principal")
    named = principal in (delivery.service, "*") or is_unknown(principal)
    return named and wiring.is_from(scenario, permission.get("SourceArn"), delivery.source)


@rule("E9164", "sns", "events", "s3", "cloudwatch")
def topic_not_open(scenario: Scenario) -> Findings:
    """A topic needs a policy that allows the service that publishes to it.

    A topic's own default policy allows neither EventBridge nor S3, and your own policy replaces the
    default, which allows CloudWatch: a service that is not allowed publishes nothing. Add an
    AWS::SNS::TopicPolicy that allows the service sns:Publish.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    closed = _closed_topics(scenario)
    alarms = [item for item in wiring.alarm_actions(scenario) if item.target in closed]
    deliveries = [*wiring.deliveries(scenario), *alarms]
    return _denied(scenario, deliveries, TOPIC, "publishes to", "nothing is published")


def _closed_topics(scenario: Scenario) -> list[Any]:
    """Return the topics whose own policy replaces the default and allows no principal."""
    return [
        name
        for policy in scenario.of(*POLICIES[TOPIC])
        for name in _targets(policy)
        if not any(
            map(wiring.allows_an_account, wiring.statements(policy.get("PolicyDocument")) or [{}])
        )
    ]


@rule("W9165", "sqs", "events", "sns")
def dead_letter_queue_not_open(scenario: Scenario) -> Findings:
    """A dead-letter queue needs a policy that allows the service that fills it.

    EventBridge and SNS send undeliverable events to the queue as the service, not as you: without a
    policy, those events are lost. Add an AWS::SQS::QueuePolicy that allows the service
    sqs:SendMessage, with the rule or topic as aws:SourceArn.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    failures = wiring.failures(scenario)
    return _denied(scenario, failures, QUEUE, "sends its failures to", "they are lost")
