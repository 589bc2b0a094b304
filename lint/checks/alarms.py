"""Alarms that cannot fire, and failures that go unnoticed."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import sqs
from serverless_patterns.patterns.limits import SQS_DEFAULT_RETENTION

from .. import wiring
from ..template import (
    REFERENCE,
    UNKNOWN,
    At,
    Finding,
    Findings,
    Resource,
    Scenario,
    is_unknown,
    rule,
)

# Namespace → metric prefixes → dimensions of which each of these metrics has one, the usual one
# first. Lambda, EventBridge and Scheduler publish totals without a dimension: they are not here.
STREAM = ("GetRecords", "PutRecord", "Incoming", "ReadProv", "WriteProv", "SubscribeToShard")
DIMENSIONS = {
    "AWS/SQS": (("NumberOf", "Approximate", "SentMessageSize"), ("QueueName",)),
    "AWS/SNS": (("NumberOf",), ("TopicName", "PhoneNumber", "SMSType", "Country", "Platform")),
    "AWS/Kinesis": (STREAM, ("StreamName",)),
    "AWS/Firehose": (("DeliveryTo", "Incoming", "ThrottledRecords"), ("DeliveryStreamName",)),
    "AWS/States": (("Execution",), ("StateMachineArn",)),
    "AWS/ApiGateway": (("4", "5", "Latency", "IntegrationLatency"), ("ApiName", "ApiId")),
}

# Namespace → dimension → the type it names, and the attributes that are that name ("" for Ref).
NAMES = {
    "AWS/SQS": ("QueueName", "AWS::SQS::Queue", ("QueueName",)),
    "AWS/SNS": ("TopicName", "AWS::SNS::Topic", ("TopicName",)),
    "AWS/Kinesis": ("StreamName", "AWS::Kinesis::Stream", ("",)),
    "AWS/Lambda": ("FunctionName", "AWS::Lambda::Function", ("",)),
    "AWS/Firehose": ("DeliveryStreamName", "AWS::KinesisFirehose::DeliveryStream", ("",)),
    "AWS/States": ("StateMachineArn", "AWS::StepFunctions::StateMachine", ("", "Arn")),
    "AWS/ApiGateway": ("ApiName", "AWS::ApiGateway::RestApi", ()),
}
SENT = {"NumberOfMessagesSent", "SentMessageSize"}
# What stays at zero while nobody receives the messages of a queue.
IDLE = {
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "NumberOfMessagesDeleted",
    "NumberOfMessagesReceived",
}
FIRES = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
AGE = "ApproximateAgeOfOldestMessage"
VISIBLE = ("ApproximateNumberOfMessagesVisible",)
OTHER = Resource("", "", {}, ())  # an alarm of another kind, which may fire for the first one


def _metrics(scenario: Scenario) -> Iterator[tuple[Resource, Mapping[str, Any], At]]:
    """Yield the metrics of alarms: the alarm, the metric, its place."""
    for alarm in scenario.of("AWS::CloudWatch::Alarm"):
        if alarm.get("MetricName") is not None:
            yield alarm, alarm.properties, ("MetricName",)
        for query in alarm.parts("Metrics"):
            metric = query.get("MetricStat.Metric")
            if isinstance(metric, Mapping):
                yield alarm, metric, query.at


def _dimensions(metric: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a metric's dimensions by name; None when they are not known."""
    listed = metric.get("Dimensions") or []
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        return None
    found = {str(item.get("Name")): item.get("Value") for item in listed}
    return None if is_unknown(list(found)) else found


@rule("E9181", "cloudwatch")
def alarm_without_dimension(scenario: Scenario) -> Findings:
    """An alarm must name the resource that its metric measures.

    The metric exists per queue, topic, stream, state machine or API only: without that dimension
    the alarm never gets a data point, and never fires. Add the dimension.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html
    """
    for alarm, metric, where in _metrics(scenario):
        namespace, name = metric.get("Namespace"), metric.get("MetricName")
        prefixes, needed = DIMENSIONS.get(str(namespace), ((), ()))
        given = _dimensions(metric)
        if given is None or is_unknown(name) or given.keys() & set(needed):
            continue
        if str(name).startswith(prefixes):
            yield Finding(
                alarm,
                f"{alarm} watches {namespace} {name} without the dimension {needed[0]}: it gets no "
                "data and never fires. Add it.",
                where,
            )


@rule("E9184", "cloudwatch", "sqs", "sns", "apigateway")
def dimension_is_not_the_name(scenario: Scenario) -> Findings:
    """An alarm's dimension must be the name that the metric has.

    Ref of a queue is its URL, of a topic its ARN, of a REST API its id: as QueueName, TopicName or
    ApiName they match no metric, so the alarm never gets a data point, and never fires. Use GetAtt
    QueueName, GetAtt TopicName, or the API's name.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    for alarm, metric, where in _metrics(scenario):
        name, kind, right = NAMES.get(str(metric.get("Namespace")), ("", "", ()))
        value = str((_dimensions(metric) or {}).get(name))
        resource, reference = scenario.find(value, kind), REFERENCE.fullmatch(value)
        attribute = reference.group(2) or "" if reference else ""
        if resource and reference and attribute not in right:
            given = f"{resource}.{attribute}" if attribute else f"Ref {resource}"
            fix = next((f"Give {resource}.{item}" if item else "Give Ref" for item in right), None)
            yield Finding(
                alarm,
                f"{alarm} gives {given} as {name}, which is not the name of {resource}: it gets no "
                f"data and never fires. {fix or 'Give the name'}.",
                where,
            )


def _queues(scenario: Scenario, metric: Mapping[str, Any]) -> Iterator[tuple[Resource, bool]]:
    """Yield the queues that a metric may be of, and whether it certainly is."""
    namespace, given = metric.get("Namespace"), _dimensions(metric)
    name = UNKNOWN if given is None else given.get("QueueName")
    if name is None or (namespace != "AWS/SQS" and not is_unknown(namespace)):
        return
    found = scenario.queue(name)
    if found:
        yield found, namespace == "AWS/SQS"
        return
    for queue in scenario.of("AWS::SQS::Queue"):
        if is_unknown([name, queue.get("QueueName")]):
            yield queue, False


def _watched(scenario: Scenario) -> dict[str, dict[str, Resource]]:
    """Return queues with the alarms that may be on each, by metric, or UNKNOWN."""
    watched: dict[str, dict[str, Resource]] = {}
    for alarm in filter(_asks_for_all, scenario.of("AWS::CloudWatch::Alarm")):
        for queue in scenario.of("AWS::SQS::Queue"):
            watched.setdefault(queue.id, {})[UNKNOWN] = alarm
    for alarm, metric, _ in _metrics(scenario):
        for queue, certain in _queues(scenario, metric):
            name = str(metric.get("MetricName")) if certain else UNKNOWN
            watched.setdefault(queue.id, {})[name] = alarm
    return watched


def _asks_for_all(alarm: Resource) -> bool:
    """Tell whether an alarm may search, or query, the metrics of all queues."""
    asked = [query.get("Expression") for query in alarm.parts("Metrics")]
    return is_unknown(asked) or bool(re.search(r"\b(SELECT|SEARCH)\b", str(asked)))


@rule("W9185", "cloudwatch", "sqs")
def alarm_on_sent_dead_letters(scenario: Scenario) -> Findings:
    """An alarm on a dead-letter queue must watch the messages in it.

    NumberOfMessagesSent does not count what SQS itself moves to a dead-letter queue, and a message
    that nobody receives is neither in flight nor delayed, received or deleted: the alarm never
    fires. Watch ApproximateNumberOfMessagesVisible.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    watched = _watched(scenario)
    others = {q.id for source, q in scenario.dead_letters if source.type != "AWS::SQS::Queue"}
    for name, alarms in watched.items():
        blind = IDLE if name in others else IDLE | SENT
        if name in scenario.dead_letter_queues and alarms.keys() <= blind:
            metric, alarm = next(iter(alarms.items()))
            yield Finding(
                alarm,
                f"{alarm} watches {metric} of {name}, which dead letters do not raise: it never "
                "fires. Watch ApproximateNumberOfMessagesVisible.",
                ("MetricName",),
            )


@rule("I9182", "sqs", "cloudwatch")
def unwatched_dead_letter_queue(scenario: Scenario) -> Findings:
    """A dead-letter queue should have an alarm.

    Without an alarm, messages in a dead-letter queue expire unnoticed. Add an alarm on
    ApproximateNumberOfMessagesVisible > 0.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/dead-letter-queues-alarms-cloudwatch.html
    """
    watched = _watched(scenario)
    for queue in scenario.dead_letter_queues.values():
        if queue.id not in watched:
            yield Finding(
                queue,
                f"No alarm watches the dead-letter queue {queue}: messages there expire "
                "unnoticed. Add one on ApproximateNumberOfMessagesVisible > 0.",
            )


@rule("I9186", "cloudwatch", "sqs")
def alarm_ignores_the_first(scenario: Scenario, *, ignored: int = 0) -> Findings:
    """An alarm on a dead-letter queue should fire for the first message.

    A threshold above the first message leaves dead letters unnoticed until others follow, and they
    expire meanwhile. Alarm on ApproximateNumberOfMessagesVisible > 0.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/dead-letter-queues-alarms-cloudwatch.html
    """
    alarms: dict[str, list[Resource]] = {}
    for alarm, metric, where in _metrics(scenario):
        for queue, certain in _queues(scenario, metric):
            counts = certain and _counts(alarm, metric, where)
            alarms.setdefault(queue.id, []).append(alarm if counts else OTHER)
    for name, watching in alarms.items():
        late = all(_ignores(alarm, ignored + 1) for alarm in watching)
        if late and name in scenario.dead_letter_queues:
            yield Finding(
                watching[0],
                f"{watching[0]} does not fire for {_messages(ignored)} in the dead-letter queue "
                f"{name}. Alarm on ApproximateNumberOfMessagesVisible > {ignored}.",
                ("Threshold",),
            )


def parked(scenario: Scenario) -> set[str]:
    """Return the queues whose first message may raise an alarm."""
    return {
        queue.id
        for alarm, metric, where in _metrics(scenario)
        if is_unknown(metric.get("MetricName")) or _counts(alarm, metric, where)
        if not _ignores(alarm, 1)
        for queue, _ in _queues(scenario, metric)
    }


def _counts(alarm: Resource, metric: Mapping[str, Any], where: At) -> bool:
    """Tell whether an alarm compares the messages in a queue themselves: no expression of them."""
    alone = where == ("MetricName",) or len(alarm.list("Metrics")) == 1
    return metric.get("MetricName") in VISIBLE and alone


def _ignores(alarm: Resource, count: int) -> bool:
    """Tell whether an alarm on the messages in a queue stays silent for this many."""
    try:
        threshold = float(str(alarm.get("Threshold")))
    except ValueError:
        return False
    fires = FIRES.get(str(alarm.get("ComparisonOperator")))
    return fires is not None and not fires(count, threshold)


def _messages(ignored: int) -> str:
    return f"{ignored + 1} messages" if ignored else "the first message"


@rule("W9187", "iot")
def rule_without_error_action(scenario: Scenario) -> Findings:
    """An IoT rule needs an error action.

    When an action fails, for example because it is throttled or a permission is missing, the
    message is gone, unless the rule has an ErrorAction that gets it. Add one, such as a queue.

    Source: https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html
    """
    for item in scenario.of("AWS::IoT::TopicRule"):
        payload = item.get("TopicRulePayload")
        acts = isinstance(payload, Mapping) and payload.get("Actions")
        enabled = item.flag("TopicRulePayload.RuleDisabled") is False
        if acts and enabled and item.get("TopicRulePayload.ErrorAction") is None:
            yield Finding(
                item,
                f"{item} has no error action: a message whose action fails is lost. Add an "
                "ErrorAction to its TopicRulePayload.",
                ("TopicRulePayload",),
            )


@rule("W9188", "cloudwatch", "sqs", shared=sqs.alarm_after_retention)
def alarm_after_retention(scenario: Scenario) -> Findings:
    """An alarm on the age of messages must fire before they are deleted.

    ApproximateAgeOfOldestMessage never exceeds the queue's retention period: with a threshold that
    reaches it, the messages expire and the alarm never fires. Lower the Threshold, or raise
    MessageRetentionPeriod.
    """
    for alarm, queue, age, kept in _ages(scenario):
        problem = sqs.alarm_after_retention(queue, age, kept, f"The threshold of {alarm}")
        yield Finding(alarm, problem, ("Threshold",))


@rule("W9222", "cloudwatch", "sqs", shared=sqs.alarm_after_dead_letters)
def alarm_after_dead_letters(scenario: Scenario) -> Findings:
    """An alarm on the age of dead letters must fire before they are deleted.

    The metric counts from the move to the dead-letter queue, and the retention period of a standard
    queue from the first send: a message that spent a day in a queue is deleted after three in a
    dead-letter queue that keeps four. Lower the Threshold, or raise MessageRetentionPeriod.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    """
    for alarm, letters, age, kept in _ages(scenario):
        for source in scenario.of("AWS::SQS::Queue"):
            target = scenario.queue(source.get("RedrivePolicy.deadLetterTargetArn"))
            before = source.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION)
            of_ours = (
                target is not None and target.id == letters.id and not source.flag("FifoQueue")
            )
            if of_ours and before is not None and age < kept:  # else W9188 tells
                name, left = f"The threshold of {alarm}", max(0.0, kept - before)
                problem = sqs.alarm_after_dead_letters(source, age, left, name)
                yield Finding(alarm, problem, ("Threshold",))


def _ages(scenario: Scenario) -> Iterator[tuple[Resource, Resource, float, float]]:
    """Yield alarms on the age of messages: alarm, queue, threshold, and how long it keeps them."""
    for alarm, metric, where in _metrics(scenario):
        queue = scenario.queue((_dimensions(metric) or {}).get("QueueName"))
        rising = str(alarm.get("ComparisonOperator")).startswith("GreaterThan")
        age = alarm.number("Threshold") if where == ("MetricName",) else None
        if queue and rising and age is not None and metric.get("MetricName") == AGE:
            kept = queue.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION)
            if kept is not None:
                yield alarm, queue, age, kept


@rule("I9183", "events", "scheduler", "sns", "sqs")
def delivery_without_dead_letter_queue(scenario: Scenario) -> Findings:
    """A rule target, a schedule or a subscription should have a dead-letter queue.

    Undeliverable events are dropped when the retries end, or at once when a permission is missing.
    Add a dead-letter queue: DeadLetterConfig, or RedrivePolicy of a subscription.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    bare: list[tuple[Resource, Any, At]] = [
        (target.source, target.target, target.at)
        for target in wiring.rule_targets(scenario)
        if target.dead_letter_queue is None
    ]
    for kind, arn, place in (
        ("AWS::Scheduler::Schedule", "Target.Arn", "Target.DeadLetterConfig"),
        ("AWS::SNS::Subscription", "Endpoint", "RedrivePolicy"),
    ):
        bare += [(item, item.get(arn), ()) for item in scenario.of(kind) if item.get(place) is None]
    for resource, target, where in bare:
        yield Finding(
            resource,
            f"{resource} delivers to {scenario.name(target, 'its target')} without a dead-letter "
            "queue: what cannot be delivered is dropped. Add one.",
            where,
        )
