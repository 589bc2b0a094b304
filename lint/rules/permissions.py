"""Who may send to a queue, and who may invoke a function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lint import template, wiring

DOCS = "https://docs.aws.amazon.com"
POLICIES = ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy")


class ConfusedDeputy(template.Rule):
    id = "W9161"
    shortdesc = "A queue policy should say for whom a service may send"
    description = (
        "A statement that admits a service without saying for which source lets anybody's rule, "
        "bucket or topic send to the queue. Add a Condition on aws:SourceArn or aws:SourceAccount."
    )
    source_url = f"{DOCS}/IAM/latest/UserGuide/confused-deputy.html"
    tags = ["sqs", "iam"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for policy in scenario.of(*POLICIES):
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


def _limits_the_source(condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return condition is not None
    keys = [key for test in condition.values() if isinstance(test, Mapping) for key in test]
    limits = ("aws:source", "aws:principal")
    return any(str(key).lower().startswith(limits) for key in keys) or template.is_unknown(
        condition
    )


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
        policies = scenario.of(*POLICIES)
        named = [(item, name) for item in policies for name in _queues(item)]
        if scenario.has_hidden_permissions or any(not scenario.queue(name) for _, name in named):
            return
        for delivery, queue in wiring.deliveries_to_queues(scenario):
            own = [item for item, name in named if scenario.queue(name) is queue]
            if any(wiring.admits(item.get("PolicyDocument"), delivery.service) for item in own):
                continue
            yield template.Finding(
                delivery.source,
                f"{delivery.source.id} sends to {queue.id}, whose policy does not admit "
                f"{delivery.service}: nothing arrives. Add an AWS::SQS::QueuePolicy that allows "
                "it sqs:SendMessage.",
                delivery.at,
            )


def _queues(policy: template.Resource) -> list[Any]:
    return template.as_list(policy.get("Queues") or policy.get("Queue"))


class RuleMayNotInvoke(template.Rule):
    id = "E9163"
    shortdesc = "A rule's function needs a permission for EventBridge"
    description = (
        "EventBridge loses an event whose function it may not invoke. Add an "
        "AWS::Lambda::Permission for events.amazonaws.com, with the rule's ARN as SourceArn."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-use-resource-based.html"
    tags = ["lambda", "events"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        if scenario.has_hidden_permissions:
            return
        allowed = set()
        for permission in scenario.of("AWS::Lambda::Permission"):
            function = scenario.function(permission.get("FunctionName"))
            if not function:
                return  # it may be for any function
            principal = permission.get("Principal")
            if template.is_unknown(principal) or principal in ("events.amazonaws.com", "*"):
                allowed.add(function.id)
        for target in wiring.rule_targets(scenario):
            function = scenario.function(target.target)
            if not function or function.id in allowed or target.role:
                continue
            yield template.Finding(
                target.source,
                f"{target.source.id} may not invoke {function.id}: every event is lost. "
                "Add an AWS::Lambda::Permission for events.amazonaws.com.",
                target.at,
            )
