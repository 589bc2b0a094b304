"""EventBridge rule → target;  rule ⇢ DLQ ⇢ alarm: which events, in what form, and who may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from aws_cdk import Annotations, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from ..checks import events as checks
from ..checks import patterns as pattern_checks
from ..checks import reject
from ..checks import sqs as sqs_checks
from ..limits import EVENTS_MAX_AGE, EVENTS_MAX_RETRIES, EVENTS_RULE_NAME
from . import keys, places, publishers
from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_may_run
from .grants import allow_service, permission, service_principal
from .names import name_known_before_creation
from .publishers import EVENTBRIDGE
from .queues import ask_for_key, queue_for_failures
from .stacks import same_stack
from .values import (
    Path,
    account_of,
    arn_in,
    arn_of_queue,
    asked_once,
    child_of,
    expect,
    expect_fields,
    has,
    in_seconds,
    node_of,
    number,
    path_of,
    place_of,
    seconds,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_stepfunctions as sfn
    from constructs import Construct, IDependable

    Target: TypeAlias = (
        sqs.IQueue
        | lambda_.IFunction
        | sfn.IStateMachine
        | events.IEventBus
        | events.IApiDestination
        | sns.ITopic
    )

LOST = "every event would be lost"
FIELDS = (
    "account",
    "detail",
    "detail_type",
    "id",
    "region",
    "resources",
    "source",
    "time",
    "version",
)
# By the attribute with the ARN: what EventBridge does to a target with a role, if it needs one.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
TARGETS = {
    "queue_arn": None,
    "function_arn": None,
    "state_machine_arn": "states:StartExecution",
    "event_bus_arn": "events:PutEvents",
    "api_destination_arn": "events:InvokeApiDestination",
    "topic_arn": None,
}
UNDELIVERED = Runbook(
    means="EventBridge could not deliver events to this rule's target; each is stored in the "
    "rule's delivery dead-letter queue.",
    see="Read the ERROR_CODE and ERROR_MESSAGE attributes of a message in that queue.",
    fix="Fix what they name: most often the policy of the target or of its key. Then run "
    "`python -m serverless_patterns.redrive run` with this queue: it sends each to the target; or "
    "replay the archive to this rule alone, and delete the messages. The redrive of SQS does not "
    "work for this queue.",
    verify="The delivery dead-letter queue is empty, and the target has the events.",
)
# Metric, periods in a row, what to do:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
RULE_ALARMS = (
    (
        "FailedInvocations",
        1,
        Runbook(
            means="EventBridge stopped attempting deliveries to this rule's target: their retries "
            "ended, or a permission was missing.",
            see="The UndeliveredAlarm of the same rule has the events and the error.",
            fix="Follow the runbook of that alarm.",
            verify="FailedInvocations stays without data while events arrive.",
        ),
    ),
    (
        "InvocationsSentToDlq",
        1,
        Runbook(
            means="Undeliverable events moved to the rule's delivery dead-letter queue.",
            see="Read the attributes of the messages there.",
            fix="Follow the runbook of UndeliveredAlarm.",
            verify="InvocationsSentToDlq stays without data while events arrive.",
        ),
    ),
    (
        "InvocationsFailedToBeSentToDlq",
        1,
        Runbook(
            means="Events are LOST to this target: EventBridge could deliver them neither to it "
            "nor to the delivery dead-letter queue.",
            see="Look at the policy of that queue and of its key; AWS CloudTrail shows who changed "
            "them.",
            fix="Fix the policy, then replay the archive to this rule alone.",
            verify="The metric stays without data, and the target has the events.",
        ),
    ),
    (
        "ThrottledRules",
        5,
        Runbook(
            means="The account's quota of target invocations delays this rule's events.",
            see="Compare Invocations of all rules with the quota of the Region.",
            fix="Ask AWS for a higher quota, or match fewer events.",
            verify="ThrottledRules stays without data.",
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How EventBridge delivers a rule's events to its target.

    Attributes:
        input: The form in which they arrive, such as
            ``RuleTargetInput.from_event_path("$.detail")``. Default: the whole event.
        retry_attempts: Retries after an error that may pass, 0 to 185. Default: 185.
        max_event_age: How old an event may grow meanwhile, 60 s to 24 h. Default: 24 hours.
        dead_letter_queue: Your own standard queue for what cannot be delivered. Default: a new one
            that keeps it for 14 days.

    Raises:
        ValueError: a setting that EventBridge rejects, or a value of the wrong type.
    """

    input: events.RuleTargetInput | None = None
    retry_attempts: int = EVENTS_MAX_RETRIES
    max_event_age: Duration | None = None
    dead_letter_queue: sqs.IQueue | None = None

    def __post_init__(self) -> None:
        """Reject retries that EventBridge does not make."""
        expect_fields(
            self,
            input=(events.RuleTargetInput, None),
            retry_attempts=(int,),
            max_event_age=(Duration, None),
            dead_letter_queue=("IQueue", None),
        )
        reject(checks.retries(number(self.retry_attempts), in_seconds(self.max_event_age)))

    @property
    def retry_policy(self) -> dict[str, Any]:
        """The retries as CloudFormation spells them."""
        age = self.max_event_age
        return {
            "maximumRetryAttempts": self.retry_attempts,
            "maximumEventAgeInSeconds": age.to_seconds() if age else EVENTS_MAX_AGE,
        }


def as_json(scope: Construct, pattern: events.EventPattern) -> dict[str, Any]:
    """Return an event pattern in the spelling of EventBridge, with what matchers stand for.

    Raises:
        ValueError: no event can match it, it asks for nothing, or it is too long.
    """
    expect("pattern", pattern, events.EventPattern)
    given = {name.replace("_", "-"): getattr(pattern, name) for name in FIELDS}
    found: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if not _is_plain(found):
        found = stack_of(scope).resolve(found)
    name = Path(scope, "The event pattern of ")
    if not found:
        raise ValueError(
            f'{name} is empty. Give it a source or a detail_type; source=events.Match.prefix("") '
            "matches every event."
        )
    reject(pattern_checks.matches_nothing(name, _with_tokens(found)))
    reject(checks.pattern_length(name, len(json.dumps(found, separators=(",", ":")))))
    return found


def _is_plain(value: Any) -> bool:
    """Whether nothing of a pattern has to be resolved, as matchers and tokens do."""
    if isinstance(value, Mapping):
        return all(_is_plain(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return all(_is_plain(one) for one in value)
    # A list of which nothing is known has one token in it, spelled with a "#" in place of the "$".
    return isinstance(value, bool) or (isinstance(value, str) and "{Token[" not in value)


def _with_tokens(value: Any) -> Any:
    """Return a pattern with ``${…}`` in place of what only deployment knows."""
    if isinstance(value, list):
        return [_with_tokens(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return "${deployment}"
    return {name: _with_tokens(one) for name, one in value.items()}


@asked_once
def _name_of(bus: events.IEventBus) -> str:
    return bus.event_bus_name


class Rule:
    """A rule's name, which is known before it is made, and what lets EventBridge use its target.

    Each permission holds for EventBridge on behalf of this rule of this account alone, and is there
    before the rule is: a delivery that is not permitted is not retried
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html).

    Args:
        scope: Where the rule is made.
        bus: Of which bus.
        bus_name: The bus's name, if it is known before the bus is made. Default: not known.
    """

    def __init__(
        self, scope: Construct, bus: events.IEventBus, bus_name: str | None = None
    ) -> None:
        self._scope, self._known = scope, bus_name is not None
        self.name = name_known_before_creation(scope, longest=EVENTS_RULE_NAME)
        own_name = _name_of(bus)
        of_default = own_name == "default"
        in_arn = self.name if of_default else f"{bus_name or own_name}/{self.name}"
        self.arn = arn_in(stack_of(scope), "events", f"rule/{in_arn}")
        self.dimensions = {"RuleName": self.name}
        if not of_default:
            self.dimensions["EventBusName"] = own_name

    def allow_queue(self, queue: sqs.IQueue, arn: str) -> list[IDependable]:
        """Let EventBridge send to a queue; return what the rule waits for."""
        statement = self._statement(queue, ["sqs:SendMessage"], arn)
        added = allow_service(queue, EVENTBRIDGE, statement)
        if not isinstance(queue, sqs.Queue):
            Annotations.of(queue).add_warning_v2(
                "serverless-patterns:imported-queue-of-rule",
                "This queue is imported, so its policy cannot be changed here: it must allow "
                f"sqs:SendMessage to {EVENTBRIDGE} with aws:SourceArn and aws:SourceAccount of the "
                f"rule, or nothing is delivered.{ask_for_key(queue)}",
            )
        if key := keys.key_of(queue):
            self._allow_key(key)
        return [added]

    def allow_function(self, arn: str) -> list[IDependable]:
        """Let EventBridge invoke a function; return what the rule waits for."""
        account = account_of(stack_of(self._scope))
        return [permission(self._scope, arn, EVENTBRIDGE, self.arn, account)]

    def allow_topic(self, topic: sns.ITopic) -> list[IDependable]:
        """Let EventBridge publish to a topic; return what the rule waits for."""
        statement = self._statement(topic, ["sns:Publish"], topic.topic_arn)
        added = topic.add_to_resource_policy(statement)
        if not added.statement_added:
            Annotations.of(topic).add_warning_v2(
                "serverless-patterns:imported-topic-of-rule",
                "This topic is imported, so its policy cannot be changed here: it must allow "
                f"sns:Publish to {EVENTBRIDGE} with aws:SourceArn and aws:SourceAccount of the "
                "rule, or nobody is told.",
            )
        if topic.master_key is not None:
            # Its requests to AWS KMS name no source, so that a condition on one is never met.
            topic.master_key.grant(service_principal(EVENTBRIDGE), *publishers.KEY_ACTIONS)
        return [added.policy_dependable] if added.policy_dependable is not None else []

    def role_for(self, action: str, arn: str) -> iam.Role:
        """Make the role with which EventBridge uses a target that takes no policy of its own."""
        role = iam.Role(self._scope, "Role", assumed_by=service_principal(EVENTBRIDGE))
        iam.Grant.add_to_principal(grantee=role, actions=[action], resource_arns=[arn])
        return role

    def _allow_key(self, key: kms.IKey) -> None:
        statement = self._statement(key, ["kms:Decrypt", "kms:GenerateDataKey"], "*", of_key=True)
        if not key.add_to_resource_policy(statement, True).statement_added:
            Annotations.of(key).add_warning_v2(
                "serverless-patterns:imported-key-of-rule",
                "This key is imported, so its policy cannot be changed here: it must allow "
                f"kms:Decrypt and kms:GenerateDataKey to {EVENTBRIDGE}, or nothing is delivered.",
            )

    def _statement(
        self, resource: Any, actions: list[str], acts_on: str, *, of_key: bool = False
    ) -> iam.PolicyStatement:
        """Return what allows EventBridge for this rule, as far as the resource may know its name.

        Another stack would need this one; a key would need the bus that it may encrypt.
        """
        stack, arn = stack_of(resource), self.arn
        if not same_stack(self._scope, resource) or (of_key and not self._known):
            arn = arn_in(stack, "events", "rule/*")
        return iam.PolicyStatement(
            principals=[service_principal(EVENTBRIDGE)],
            actions=actions,
            resources=[acts_on],
            conditions={
                "ArnLike": {"aws:SourceArn": arn},
                "StringEquals": {"aws:SourceAccount": account_of(stack_of(self._scope))},
            },
        )


@dataclass(frozen=True)
class Routed:
    """A rule with its target.

    Attributes:
        rule: Of the bus.
        pattern: Which events it matches, as EventBridge spells it.
        dead_letter_queue: What could not be delivered.
        alarms: On deliveries, and on that queue.
        dimensions: Of the rule's metrics.
    """

    rule: events.Rule
    pattern: Mapping[str, Any]
    dead_letter_queue: sqs.IQueue
    alarms: list[cloudwatch.Alarm]
    dimensions: Mapping[str, str]


def route(
    scope: Construct,
    bus: events.IEventBus,
    pattern: events.EventPattern,
    target: Any,
    *,
    delivery: Delivery = Delivery(),
    encryption_key: kms.IKey | None = None,
    alarms: Alarms = Alarms(),
    bus_name: str | None = None,
    undelivered: str = "UndeliveredAlarm",
) -> Routed:
    """Make a rule that sends what it matches to one target, with a dead-letter queue and alarms.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules-best-practices.html

    Args:
        scope: Where all of it is made.
        bus: Whose events.
        pattern: Which of them.
        target: Queue, function, state machine, bus, API destination or standard topic.
        delivery: In what form, and how often attempted.
        encryption_key: Customer managed key of a new dead-letter queue. Default: SQS-managed.
        alarms: What the alarms do.
        bus_name: The bus's name, if it is known before the bus is made. Default: not known.
        undelivered: Id of the alarm on what could not be delivered.

    Raises:
        ValueError: no event can match, or events would be lost.
    """
    expect("delivery", delivery, Delivery)
    matched, kind = as_json(scope, pattern), kind_of(target)
    _check_target(scope, kind, target)
    if kind == "event_bus_arn" and path_of(target) == path_of(bus):
        raise ValueError(checks.sends_to_its_own_bus(Path(scope), Path(bus)))
    allowed = Rule(scope, bus, bus_name)
    kept = _dead_letter_queue(scope, target, delivery, encryption_key)
    kept_arn, role = arn_of_queue(kept), None
    arn = arn_of_queue(target) if kind == "queue_arn" else str(getattr(target, kind))
    waits_for = allowed.allow_queue(kept, kept_arn)
    if kind == "queue_arn" and places.elsewhere(scope, target):
        role = allowed.role_for("sqs:SendMessage", arn)
        waits_for.append(role)
    elif kind == "queue_arn":
        waits_for += allowed.allow_queue(target, arn)
    elif kind == "function_arn":
        waits_for += allowed.allow_function(arn)
    elif kind == "topic_arn":
        waits_for += allowed.allow_topic(target)
    else:
        role = allowed.role_for(str(TARGETS[kind]), arn)
        waits_for.append(role)
    rule = events.Rule(scope, "Rule", rule_name=allowed.name, event_bus=bus, event_pattern=pattern)
    resource: Any = child_of(rule)
    form = delivery.input.bind(rule) if delivery.input else None
    resource.targets = [
        events.CfnRule.TargetProperty(
            id="Target",
            arn=arn,
            role_arn=role.role_arn if role else None,
            retry_policy=delivery.retry_policy,
            dead_letter_config={"arn": kept_arn},
            **(_form(form) if form else {}),
        )
    ]
    node_of(rule).add_dependency(*waits_for)
    made = [
        (f"{metric}Alarm", _metric(metric, allowed.dimensions), runbook, 0, periods)
        for metric, periods, runbook in RULE_ALARMS
    ]
    on_rule = alarms.each(scope, made)
    if delivery.dead_letter_queue is None or places.elsewhere(scope, kept) is None:
        on_rule.append(alarms.on_messages(scope, undelivered, kept, UNDELIVERED))
    return Routed(rule, matched, kept, on_rule, allowed.dimensions)


def metric_of(routed: Routed, name: str, **options: Any) -> cloudwatch.Metric:
    """Return a metric of a rule. ``options``: of the metric."""
    return _metric(name, routed.dimensions, **options)


def _metric(name: str, dimensions: Mapping[str, str], **options: Any) -> cloudwatch.Metric:
    from aws_cdk import aws_cloudwatch as cloudwatch

    settings: dict[str, Any] = {"period": seconds(MINUTE), "statistic": "Sum"} | options
    return cloudwatch.Metric(
        namespace="AWS/Events", metric_name=name, dimensions_map=dict(dimensions), **settings
    )


def _form(form: events.RuleTargetInputProperties) -> dict[str, Any]:
    """Return how a target's input is transformed, as CloudFormation spells it."""
    if form.input_template is None:
        return {"input": form.input, "input_path": form.input_path}
    paths = {"inputPathsMap": form.input_paths_map, "inputTemplate": form.input_template}
    return {"input_transformer": paths}


def kind_of(target: Any) -> str:
    """Return the attribute with the ARN of a target.

    Raises:
        ValueError: EventBridge is not sent to such a thing here.
    """
    for attribute in TARGETS:
        if has(target, attribute):
            return attribute
    raise ValueError(
        f"target is a {type(target).__name__}; it must be a queue, function, state machine, event "
        "bus, API destination or topic."
    )


def _check_target(scope: Construct, kind: str, target: Any) -> None:
    """Reject a target to which nothing could be delivered from here.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html

    Raises:
        ValueError: it is elsewhere and cannot be reached there, never runs, is a FIFO queue, or its
            key does not allow EventBridge.
    """
    name = Path(target, "target ")
    place = places.elsewhere(scope, target)
    here = place and place_of(stack_of(scope))[1] == place_of(target)[1]  # in the same Region
    if kind == "queue_arn" and here:
        Annotations.of(target).add_warning_v2(
            "serverless-patterns:queue-of-another-account",
            "This queue is of another account: its policy, and that of its key, must allow "
            "sending to the role of the rule, and its alarms belong there.",
        )
        return
    if kind == "event_bus_arn":
        places.check_name(scope, name, target.event_bus_arn, "event_bus_name")
        if place:
            Annotations.of(target).add_warning_v2(
                "serverless-patterns:bus-elsewhere",
                f"This event bus is in another {place}: its policy must allow events:PutEvents to "
                "this account, and a rule there must match, or the events are lost there.",
            )
        return
    places.check_here(
        scope,
        name,
        target,
        "a rule does not reach it there. Send the events to an event bus of that account and "
        "Region, with a rule of its own.",
    )
    if kind == "function_arn":
        check_may_run("target", target, "no event would be processed")
    if kind == "topic_arn":
        _check_topic(name, target)
    if kind == "queue_arn":
        if target.fifo:
            raise ValueError(
                f"{name} is a FIFO queue, but EventBridge delivers in no order. Use a standard "
                "queue and an idempotent consumer."
            )
        check_encryption(name, target)


def _check_topic(name: object, topic: sns.ITopic) -> None:
    """Reject a topic to which EventBridge cannot publish.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html

    Raises:
        ValueError: it is FIFO, or encrypted with a key that AWS manages.
    """
    if topic.fifo:
        raise ValueError(
            f"{name} is a FIFO topic, but a rule names no message group: SNS would reject every "
            "event. Use a standard topic."
        )
    keys.check_service(name, topic, EVENTBRIDGE, LOST)


def check_encryption(name: object, queue: sqs.IQueue) -> None:
    """Reject a queue into which EventBridge cannot deliver.

    Raises:
        ValueError: it is encrypted with a key that AWS manages, or that encrypts nothing.
    """
    keys.check_key_of(queue)
    keys.check_service(name, queue, EVENTBRIDGE, LOST)


def _dead_letter_queue(
    scope: Construct, target: Any, delivery: Delivery, key: kms.IKey | None
) -> sqs.IQueue:
    """Return the given queue, or a new one.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html

    Raises:
        ValueError: it would lose what cannot be delivered: it is FIFO, elsewhere, the target
            itself, or encrypted with a key that does not allow EventBridge.
    """
    kept = delivery.dead_letter_queue
    if kept is None:
        return queue_for_failures(
            scope,
            "DeliveryDeadLetterQueue",
            reason="It is the rule's dead-letter queue: its messages wait for a person.",
            encryption_key=key,
        )
    name = Path(kept, "dead_letter_queue ")
    if kept.fifo:
        raise ValueError(checks.dead_letter_queue_standard(Path(target), Path(scope)))
    if path_of(kept) == path_of(target):
        raise ValueError(
            f"{name} is the target itself: an event that cannot be delivered to it would be lost. "
            "Give another queue, or leave it out."
        )
    places.check_environment(scope, name, kept)
    here = place_of(stack_of(scope))
    reject(sqs_checks.dead_letter_queue_place(Path(scope), here, Path(kept), place_of(kept)))
    check_encryption(name, kept)
    return kept
