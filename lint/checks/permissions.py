"""Who may send to a queue or a topic, and who may invoke a function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.checks import lambda_

from .. import arns, policies, wiring
from ..template import Finding, Findings, Resource, Scenario, as_list, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PERMISSION = "AWS::Lambda::Permission"
EVENT_SOURCES = tuple(f"{name}.amazonaws.com" for name in ("events", "s3", "sns", "iot", "logs"))
# They send as a role, such as that of the function whose destination it is, never as themselves.
ROLE_USERS = ("apigateway", "appsync", "ec2", "ecs-tasks", "firehose", "iot", "lambda", "pipes")
SEND_AS_ROLES = tuple(f"{name}.amazonaws.com" for name in (*ROLE_USERS, "scheduler", "states"))
# Services that no statement has to allow, and why.
NEEDLESS = {
    SEND_AS_ROLES: "such a service always sends as a role: nothing of yours needs the statement. "
    "Remove the statement, and allow the role.",
    ("sqs.amazonaws.com",): "SQS fills a dead-letter queue without a permission: nothing needs the "
    "statement. Remove it.",
}
QUEUE, TOPIC = "AWS::SQS::Queue", "AWS::SNS::Topic"
POLICIES = {
    QUEUE: ("AWS::SQS::QueuePolicy", "AWS::SQS::QueueInlinePolicy"),
    TOPIC: ("AWS::SNS::TopicPolicy", "AWS::SNS::TopicInlinePolicy"),
}
ACTIONS = {QUEUE: "sqs:SendMessage", TOPIC: "sns:Publish"}
VERBS = {QUEUE: "send", TOPIC: "publish"}


@rule("W9161", "sqs", "sns", "lambda", "iam", shared=lambda_.invoked_for_anybody)
def confused_deputy(scenario: Scenario) -> Findings:
    """A policy should limit for whom a service may send, publish or invoke.

    A statement that allows a service, or everyone, without naming the source lets anyone's rule,
    bucket or topic send to the queue, publish to the topic, or invoke the function. Add a Condition
    on aws:SourceArn or aws:SourceAccount, or SourceArn of an AWS::Lambda::Permission.
    """
    for kind, action in ACTIONS.items():
        for policy in scenario.of(*POLICIES[kind]):
            for statement in policies.statements(policy.get("PolicyDocument")) or []:
                known = not is_unknown(statement.get("Action"))
                sends = known and policies.is_action(statement, action)
                if statement.get("Effect") != "Allow" or not sends:
                    continue
                named = _anybody(statement)
                useless = {
                    why: [name for name in named if _is_one_of(name, services)]
                    for services, why in NEEDLESS.items()
                }
                others = [name for name in named if not any(name in u for u in useless.values())]
                if others:
                    yield Finding(
                        policy,
                        f"{policy} lets {', '.join(others)} {VERBS[kind]} for anybody's "
                        "resources. Add a Condition on aws:SourceArn or aws:SourceAccount.",
                        ("PolicyDocument",),
                    )
                for why, names in useless.items():
                    said = f"{policy} lets {', '.join(names)} {VERBS[kind]}, but {why}"
                    yield Finding(policy, said if names else None, ("PolicyDocument",))
    for permission in scenario.of(PERMISSION):
        service = permission.get("Principal")
        limits = map(permission.get, ("SourceArn", "SourceAccount", "PrincipalOrgID"))
        anybody = _is_one_of(service, EVENT_SOURCES) or (service == "*" and _invokes(permission))
        if anybody and not any(limits):
            who = "everyone" if service == "*" else service
            yield Finding(permission, lambda_.invoked_for_anybody(permission, who))


def _is_one_of(principal: Any, services: Iterable[str]) -> bool:
    return any(policies.is_service(principal, service) for service in services)


def _invokes(permission: Resource) -> bool:
    """Tell whether a permission is to invoke: a function URL may be for everyone."""
    action = str(permission.get("Action")).lower()
    by_url = any(map(permission.get, ("FunctionUrlAuthType", "InvokedViaFunctionUrl")))
    invokes = arns.may_match(action, "lambda:invokefunction") and not is_unknown(action)
    return invokes and not by_url


def _anybody(statement: Mapping[str, Any]) -> list[str]:
    """Return the services, or everyone, that a statement allows for anybody's resources."""
    if policies.limits_the_source(statement.get("Condition")):
        return []
    everyone = ["everyone"] if policies.is_everyone(statement) else []
    return [name for name in policies.services(statement) if isinstance(name, str)] + everyone


def _denied(
    scenario: Scenario, deliveries: Iterable[wiring.Delivery], kind: str, does: str, so: str
) -> Findings:
    """Yield what no policy of its target allows; nothing when a policy cannot be seen."""
    found = [(delivery, scenario.find(delivery.target, kind)) for delivery in deliveries]
    attached = scenario.of(*POLICIES[kind])
    named = [(item, scenario.find(name, kind)) for item in attached for name in _targets(item)]
    if _is_hidden(scenario, kind):
        return
    for delivery, target in found:
        if not target or scenario.hides_permissions(target):
            continue
        own = {item.id: item.get("PolicyDocument") for item, other in named if other is target}
        request = policies.Request(
            ACTIONS[kind],
            target,
            service=delivery.service,
            sources=wiring.origins(scenario, delivery.source),
        )
        if not policies.allows(scenario, list(own.values()), request):
            denied = [name for name in own if policies.denies(scenario, own[name], request)]
            word = "denies" if denied else "does not allow"
            fix = f"Add an {POLICIES[kind][0]} that allows it {ACTIONS[kind]}"
            if denied:
                fix = f"Exempt it from the denial in {denied[0]}"
            elif own:
                fix = f"Allow it {ACTIONS[kind]} in {' or '.join(own)}"
            yield Finding(
                delivery.source,
                f"{delivery.source} {does} {target}, whose policy {word} {delivery.service}: {so}. "
                f"{fix}.",
                delivery.at,
            )


def _is_hidden(scenario: Scenario, kind: str) -> bool:
    """Tell whether a policy may be of any queue or topic."""
    names = [name for policy in scenario.of(*POLICIES[kind]) for name in _targets(policy)]
    return any(is_unknown(name) and not scenario.find(name, kind) for name in names)


def _targets(policy: Resource) -> list[Any]:
    """Return the queues or topics that a policy is of; one that is not known is UNKNOWN."""
    listed = map(policy.get, ("Queues", "Queue", "Topics", "TopicArn"))
    return [name for item in listed for name in as_list(item)]


@rule("E9100", "sqs", "sns", "iam")
def two_policies(scenario: Scenario) -> Findings:
    """A queue or a topic must have one policy.

    A queue or a topic has one policy: of two resources that set it, the one that CloudFormation
    makes last replaces the other, and who is allowed there only sends nothing. Put the statements
    into one. SAM makes such a policy for a queue that is given to SqsSubscription.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    for kind, types in POLICIES.items():
        first: dict[str, Resource] = {}
        for policy in scenario.of(*types):
            for target in filter(None, (scenario.find(name, kind) for name in _targets(policy))):
                one = first.setdefault(target.id, policy)
                if one is not policy:
                    yield Finding(
                        policy,
                        f"{policy} and {one} are both the policy of {target}: the one that is made "
                        "last replaces the other. Put their statements into one.",
                    )


@rule("E9162", "sqs", "events", "sns", "s3")
def queue_not_open(scenario: Scenario) -> Findings:
    """A queue needs a policy that allows the service that sends to it.

    EventBridge and SNS drop events that they are not allowed to deliver, without an error to the
    sender; S3 rejects the notification. Add an AWS::SQS::QueuePolicy that allows the service
    sqs:SendMessage, with aws:SourceArn.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    deliveries = (
        item for item in wiring.deliveries(scenario) if not wiring.is_permitted_by_sam(item)
    )
    return _denied(scenario, deliveries, QUEUE, "sends to", "nothing arrives")


@rule("E9163", "lambda", "events", "s3", "sns")
def not_allowed_to_invoke(scenario: Scenario) -> Findings:
    """A rule, a bucket or a topic needs a permission to invoke its function.

    EventBridge and SNS drop an event if they are not allowed to invoke the function; S3 rejects the
    notification. Add an AWS::Lambda::Permission for the service, with the rule, bucket or topic as
    SourceArn; for an alias or a version, one of its own.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
    """
    permissions = [
        (scenario.function(item.get("FunctionName")), item) for item in scenario.of(PERMISSION)
    ]
    if any(not function and is_unknown(item.get("FunctionName")) for function, item in permissions):
        return  # it may be for any function
    for delivery in wiring.deliveries(scenario):
        function = scenario.function(delivery.target)
        unnamed = function and is_unknown(function.get("FunctionName"))
        own = [item for other, item in permissions if other is function or (unnamed and not other)]
        if wiring.is_permitted_by_sam(delivery) or scenario.hides_permissions(function):
            continue
        if function and not any(_permits(scenario, item, delivery) for item in own):
            version = arns.qualifier(scenario, delivery.target).strip("${}")
            of = f"{version} of {function}" if version else str(function)
            yield Finding(
                delivery.source,
                f"{delivery.source} is not allowed to invoke {of}: every event is lost. Add an "
                f"AWS::Lambda::Permission on {of} for {delivery.service}{_unlike(own)}.",
                delivery.at,
            )


def _unlike(own: list[Resource]) -> str:
    """Say which permissions are there, and are for something else."""
    return f"; {', '.join(item.id for item in own)} does not allow this" if own else ""


def _permits(scenario: Scenario, permission: Resource, delivery: wiring.Delivery) -> bool:
    principal, action = permission.get("Principal"), permission.get("Action")
    named = principal == "*" or policies.is_service(principal, delivery.service)
    allowed, invoked = (
        arns.qualifier(scenario, item) for item in (permission.get("FunctionName"), delivery.target)
    )
    source = permission.get("SourceArn")
    origins = wiring.origins(scenario, delivery.source)
    return (
        (named or is_unknown(principal))
        and arns.may_match(str(action).lower(), "lambda:invokefunction")
        and arns.may_match(allowed, invoked)
        and (source is None or not origins or arns.may_cover(scenario, source, origins[0]))
    )


@rule("E9164", "sns", "events", "s3", "cloudwatch")
def topic_not_open(scenario: Scenario) -> Findings:
    """A topic needs a policy that allows the service that publishes to it.

    A topic's own default policy allows neither EventBridge nor S3, and your own policy replaces the
    default, which allows CloudWatch: a service that is not allowed publishes nothing. Add an
    AWS::SNS::TopicPolicy that allows the service sns:Publish.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    own = {
        topic.id
        for policy in scenario.of(*POLICIES[TOPIC])
        for name in _targets(policy)
        if (topic := scenario.find(name, TOPIC))
    }
    alarms = [
        alarm
        for alarm in wiring.alarm_actions(scenario)
        if (topic := scenario.find(alarm.target, TOPIC)) and topic.id in own
    ]
    deliveries = [*wiring.deliveries(scenario), *alarms]
    return _denied(scenario, deliveries, TOPIC, "publishes to", "nothing is published")


@rule("E9160", "logs", "events")
def log_group_not_open(scenario: Scenario) -> Findings:
    """A log group needs a resource policy that allows EventBridge.

    A rule writes to a log group as a service, and drops the events if it is not allowed to. Add an
    AWS::Logs::ResourcePolicy that allows events.amazonaws.com and delivery.logs.amazonaws.com
    logs:CreateLogStream and logs:PutLogEvents.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    listed = [item.get("PolicyDocument") for item in scenario.of("AWS::Logs::ResourcePolicy")]
    documents = [_parsed(document) for document in listed]
    hidden = [*filter(None, map(_custom, scenario.resources.values()))]
    if hidden or scenario.has_connectors or scenario.given_to_nested_stacks:
        return
    for delivery in wiring.rule_targets(scenario):
        group = scenario.find(delivery.target, "AWS::Logs::LogGroup")
        sources = wiring.origins(scenario, delivery.source)
        request = policies.Request(
            "logs:PutLogEvents", group, service=delivery.service, sources=sources
        )
        if group and not policies.allows(scenario, documents, request):
            yield Finding(
                delivery.source,
                f"{delivery.source} sends to the log group {group}, and no resource policy allows "
                f"{delivery.service}: nothing arrives. Add an AWS::Logs::ResourcePolicy that "
                "allows it logs:CreateLogStream and logs:PutLogEvents.",
                delivery.at,
            )


def _parsed(document: Any) -> Any:
    """Return a policy that is written as JSON; None when it is not known."""
    try:
        return json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return None


def _custom(resource: Resource) -> bool:
    """Tell whether a custom resource may put a policy, as the CDK's does."""
    calls = [resource.get("Create"), resource.get("Update")]
    puts = is_unknown(calls) or "utResourcePolicy" in str(calls)
    return resource.type.startswith("Custom::") and puts


@rule("W9165", "sqs", "events", "sns")
def dead_letter_queue_not_open(scenario: Scenario) -> Findings:
    """A dead-letter queue needs a policy that allows the service that fills it.

    EventBridge and SNS send undeliverable events to the queue as the service, not as you: without a
    policy, those events are lost. Add an AWS::SQS::QueuePolicy that allows the service
    sqs:SendMessage, with the rule or topic as aws:SourceArn.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    failures = (
        item
        for item in wiring.failures(scenario)
        if not ((queue := scenario.queue(item.target)) and queue.path == item.source.path)  # of SAM
    )
    return _denied(scenario, failures, QUEUE, "sends its failures to", "they are lost")
