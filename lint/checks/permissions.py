"""Who may send to a queue or a topic, and who may invoke a function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import template, wiring

DOCS = "https://docs.aws.amazon.com"
PERMISSION = "AWS::Lambda::Permission"
EVENT_SOURCES = ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com")
ASKS_FOR = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
QUEUE, TOPIC = "AWS::SQS::Queue", "AWS::SNS::Topic"
POLICIES = {
    QUEUE: ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy"),
    TOPIC: ("AWS::SNS::TopicPolicy", "AWS::SNS::TopicInlinePolicy"),
}


class ConfusedDeputy(template.Rule):
    id = "W9161"
    shortdesc = "A policy should say for whom a service may send or invoke"
    description = (
        "A statement that admits a service without saying for which source lets anybody's rule, "
        "bucket or topic send to the queue, or invoke the function. Add a Condition on "
        "aws:SourceArn or aws:SourceAccount, or SourceArn of an AWS::Lambda::Permission."
    )
    source_url = f"{DOCS}/IAM/latest/UserGuide/confused-deputy.html"
    tags = ["sqs", "lambda", "iam"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for policy in scenario.of(*POLICIES[QUEUE]):
            for statement in wiring.statements(policy.get("PolicyDocument")) or []:
                named = [name for name in wiring.services(statement) if isinstance(name, str)]
                if not named or not wiring.allows(statement, "sqs:SendMessage"):
                    continue
                if not _limits_the_source(statement.get("Condition")):
                    yield template.Finding(
                        policy,
                        f"{policy.id} lets {', '.join(named)} send for any account's resources. "
                        "Add a Condition on aws:SourceArn or aws:SourceAccount.",
                        ("PolicyDocument",),
                    )
        for permission in scenario.of(PERMISSION):
            limits = map(permission.get, ("SourceArn", "SourceAccount", "PrincipalOrgID"))
            if permission.get("Principal") in EVENT_SOURCES and not any(limits):
                yield template.Finding(
                    permission,
                    f"{permission.id} lets {permission.get('Principal')} invoke for any account's "
                    "resources. Add SourceArn, or SourceAccount.",
                )


def _limits_the_source(condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return condition is not None
    keys = [key for test in condition.values() if isinstance(test, Mapping) for key in test]
    limits = ("aws:source", "aws:principal")
    return any(str(key).lower().startswith(limits) for key in keys) or template.is_unknown(
        condition
    )


def _refused(
    scenario: template.Scenario, deliveries: Iterable[wiring.Delivery], kind: str
) -> Iterator[tuple[wiring.Delivery, template.Resource]]:
    """Yield what no policy of its target admits; nothing when a policy cannot be seen."""
    found = [(delivery, scenario.find(delivery.target, kind)) for delivery in deliveries]
    policies = scenario.of(*POLICIES[kind])
    named = [(item, scenario.find(name, kind)) for item in policies for name in _targets(item)]
    if scenario.has_hidden_permissions or any(target is None for _, target in named):
        return
    for delivery, target in found:
        own = [item.get("PolicyDocument") for item, other in named if other is target]
        meant = [_for_source(scenario, document, delivery.source) for document in own]
        if target and not any(wiring.admits(document, delivery.service) for document in meant):
            yield delivery, target


def _for_source(scenario: template.Scenario, document: Any, source: template.Resource) -> Any:
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
        for arn in template.as_list(value)
    ]


def _targets(policy: template.Resource) -> list[Any]:
    """Return the queues or topics that a policy is of: a policy of unknown ones names a hole."""
    listed = map(policy.get, ("Queues", "Queue", "Topics", "TopicArn"))
    return [name for item in listed for name in template.as_list(item)]


class QueueNotOpen(template.Rule):
    id = "E9162"
    shortdesc = "A queue needs a policy that admits the service that sends to it"
    description = (
        "EventBridge and SNS lose what they may not deliver, without an error to the sender; S3 "
        "rejects the notification. Add an AWS::SQS::QueuePolicy that allows the service "
        "sqs:SendMessage, with aws:SourceArn."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-use-resource-based.html"
    tags = ["sqs", "events", "sns", "s3"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for delivery, queue in _refused(scenario, wiring.deliveries(scenario), QUEUE):
            yield template.Finding(
                delivery.source,
                f"{delivery.source.id} sends to {queue.id}, whose policy does not admit "
                f"{delivery.service}: nothing arrives. Add an AWS::SQS::QueuePolicy that allows "
                "it sqs:SendMessage.",
                delivery.at,
            )


class MayNotInvoke(template.Rule):
    id = "E9163"
    shortdesc = "A rule, a bucket or a topic needs a permission to invoke its function"
    description = (
        "EventBridge and SNS lose an event whose function they may not invoke; S3 rejects the "
        "notification. Add an AWS::Lambda::Permission for the service, with the rule, bucket or "
        "topic as SourceArn."
    )
    source_url = f"{DOCS}/lambda/latest/dg/access-control-resource-based.html"
    tags = ["lambda", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
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
                yield template.Finding(
                    delivery.source,
                    f"{delivery.source.id} may not invoke {function.id}: every event is lost. "
                    f"Add an AWS::Lambda::Permission for {delivery.service}.",
                    delivery.at,
                )


def _permits(
    scenario: template.Scenario, permission: template.Resource, delivery: wiring.Delivery
) -> bool:
    principal = permission.get("Principal")
    named = principal in (delivery.service, "*") or template.is_unknown(principal)
    return named and wiring.is_from(scenario, permission.get("SourceArn"), delivery.source)


class TopicNotOpen(template.Rule):
    id = "E9164"
    shortdesc = "A topic needs a policy that admits the service that publishes to it"
    description = (
        "A topic's own default policy admits neither EventBridge nor S3, and a policy of yours "
        "takes the default's place, which admitted CloudWatch: what is not admitted is never "
        "published. Add an AWS::SNS::TopicPolicy that allows the service sns:Publish."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-use-resource-based.html"
    tags = ["sns", "events", "s3", "cloudwatch"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        closed = _closed_topics(scenario)
        alarms = [item for item in wiring.alarm_actions(scenario) if item.target in closed]
        deliveries = [*wiring.deliveries(scenario), *alarms]
        for delivery, topic in _refused(scenario, deliveries, TOPIC):
            yield template.Finding(
                delivery.source,
                f"{delivery.source.id} publishes to {topic.id}, whose policy does not admit "
                f"{delivery.service}: nothing is published. Add an AWS::SNS::TopicPolicy that "
                "allows it sns:Publish.",
                delivery.at,
            )


def _closed_topics(scenario: template.Scenario) -> list[Any]:
    """Return the topics whose own policy took the default's place and allows no principal."""
    return [
        name
        for policy in scenario.of(*POLICIES[TOPIC])
        for name in _targets(policy)
        if not any(
            _allows_an_account(s) for s in wiring.statements(policy.get("PolicyDocument")) or [{}]
        )
    ]


def _allows_an_account(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    service_only = isinstance(principal, Mapping) and list(principal) == ["Service"]
    return statement.get("Effect") != "Deny" and not service_only


class DeadLetterQueueNotOpen(template.Rule):
    id = "W9165"
    shortdesc = "A dead-letter queue needs a policy that admits the service that fills it"
    description = (
        "EventBridge and SNS send what they cannot deliver to the queue as the service, not as "
        "you: without a policy it is lost there too. Add an AWS::SQS::QueuePolicy that allows the "
        "service sqs:SendMessage, with the rule or topic as aws:SourceArn."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-rule-dlq.html"
    tags = ["sqs", "events", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for failure, queue in _refused(scenario, wiring.failures(scenario), QUEUE):
            yield template.Finding(
                failure.source,
                f"{failure.source.id} hands its failures to {queue.id}, whose policy does not "
                f"admit {failure.service}: they are lost. Add an AWS::SQS::QueuePolicy that allows "
                "it sqs:SendMessage.",
                failure.at,
            )
