"""SNS → anything it delivers to;  SNS ⇢ DLQ ⇢ alarm: the subscription and its permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Annotations
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from ..checks import patterns as pattern_checks
from ..checks import reject
from ..checks import sns as checks
from ..checks import sqs as sqs_checks
from ..checks.sqs import KIND
from ..limits import SQS_DEFAULT_RETENTION, SQS_MAX_RETENTION
from . import keys, places
from .alarms import Alarms, Runbook
from .queues import ask_for_key, queue_for_failures, resource_of
from .sources import SNS, place_of_endpoint
from .stacks import check_order
from .values import (
    DAY,
    Path,
    arn_of_queue,
    child_of,
    expect,
    expect_fields,
    is_token,
    number,
    place_of,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from constructs import Construct, IDependable

    from .sources import Source

UNDELIVERABLE = "every delivery would fail"
# The endpoints that the subscriptions made here deliver to, by topic.
_ENDPOINTS: WeakKeyDictionary[sns.ITopic, set[str]] = WeakKeyDictionary()
# How many of them filter.
_FILTERS: WeakKeyDictionary[sns.ITopic, int] = WeakKeyDictionary()
# Whom raw delivery serves: an endpoint could not verify it, since it has no signature.
RAW_BY_DEFAULT = (sns.SubscriptionProtocol.SQS, sns.SubscriptionProtocol.FIREHOSE)
UNDELIVERED = Runbook(
    means="SNS could not deliver events to this subscriber; each is stored in its delivery "
    "dead-letter queue.",
    see="Read the ErrorCode and ErrorMessage attributes of a message in that queue.",
    fix="Fix what they name: most often the policy of the subscribed queue or of its key. Then "
    "deliver the messages to this subscriber alone with `python -m serverless_patterns.redrive "
    "run`, or replay the topic's archive; the redrive of SQS does not work for this queue.",
    verify="The delivery dead-letter queue is empty, and stays empty while events are published.",
)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Which events of a topic a subscriber gets, and in what form.

    Attributes:
        filter_policy: Which events, by message attributes. Default: all.
        filter_policy_with_message_body: Which events, by their JSON body. SNS drops an event whose
            body is not JSON. Default: all.
        raw_message_delivery: Whether events arrive as they were published, or wrapped in the JSON
            envelope of SNS, as functions always get them. A queue gets up to 10 attributes with a
            raw event, or the event is not delivered; Firehose and endpoints get its body alone, and
            endpoints no signature. Default: raw for queues and Firehose, wrapped for endpoints.
        replay_from: Replays the archive of a FIFO topic from this point in time, which has a time
            zone, when it is deployed; change it to replay again. Default: no replay.
        dead_letter_queue: Your own queue, of the topic's type, for what SNS cannot deliver.
            Default: a new one that keeps it for 14 days.

    Raises:
        ValueError: both filters, a point in time without a time zone, or a value of the wrong type.
    """

    filter_policy: Mapping[str, sns.SubscriptionFilter] | None = None
    filter_policy_with_message_body: Mapping[str, sns.FilterOrPolicy] | None = None
    raw_message_delivery: bool | None = None
    replay_from: datetime | None = None
    dead_letter_queue: sqs.IQueue | None = None

    def __post_init__(self) -> None:
        """Reject two filters, and a point in time without a time zone.

        Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering-scope.html

        Raises:
            ValueError: both filters, a point in time without a time zone, or a value of the wrong
                type.
        """
        expect_fields(
            self,
            filter_policy=(Mapping, None),
            filter_policy_with_message_body=(Mapping, None),
            raw_message_delivery=(bool, None),
            replay_from=(datetime, None),
            dead_letter_queue=("IQueue", None),
        )
        by_attributes, by_body = self.filter_policy, self.filter_policy_with_message_body
        if by_attributes is not None:
            for key, chosen in by_attributes.items():
                expect(f"filter_policy[{key!r}]", chosen, sns.SubscriptionFilter)
            combinations = prod(len(chosen.conditions) for chosen in by_attributes.values())
            reject(checks.filter_policy("filter_policy", len(by_attributes), combinations))
            given = {key: chosen.conditions for key, chosen in by_attributes.items()}
            reject(pattern_checks.matches_nothing("filter_policy", given))
        if by_body is not None:
            name = "filter_policy_with_message_body"
            reject(checks.filter_policy(name, len(by_body), _combinations(name, by_body)))
        if by_attributes is not None and by_body is not None:
            raise ValueError(
                "filter_policy and filter_policy_with_message_body were both given: a subscription "
                "filters by one of them. Leave one out."
            )
        if self.replay_from is not None and self.replay_from.tzinfo is None:
            raise ValueError(
                f"replay_from is {self.replay_from.isoformat()} without a time zone. Give it one, "
                "such as datetime(2026, 11, 21, 8, 0, tzinfo=UTC)."
            )


def _combinations(name: str, by_body: Mapping[str, sns.FilterOrPolicy], depth: int = 1) -> int:
    """Return how many combinations of values a filter by the body has.

    Raises:
        ValueError: a key has a value of the wrong type.
    """
    counts = []
    for key, chosen in by_body.items():
        inner: Any = chosen
        expect(f"{name}[{key!r}]", chosen, sns.FilterOrPolicy)
        if chosen.is_policy():
            counts.append(_combinations(f"{name}[{key!r}]", inner.policy_doc, depth + 1))
        else:
            conditions = inner.filter_doc.conditions
            reject(pattern_checks.matches_nothing(name, {key: conditions} if conditions else {}))
            counts.append(depth * len(conditions))
    return prod(counts)


@dataclass(frozen=True)
class Delivery:
    """One delivery leg of a topic.

    Attributes:
        subscription: Topic to endpoint.
        dead_letter_queue: What SNS could not deliver.
        alarm: Goes off while that queue holds anything; None when it is in another Region, and so
            is its metric.
    """

    subscription: sns.Subscription
    dead_letter_queue: sqs.IQueue
    alarm: cloudwatch.Alarm | None


class Delivered:
    """What every subscriber has besides its endpoint."""

    subscription: sns.Subscription
    delivery_dead_letter_queue: sqs.IQueue

    def _delivered(self, delivery: Delivery) -> list[cloudwatch.Alarm]:
        """Remember the delivery leg; return its alarms."""
        self.subscription = delivery.subscription
        self.delivery_dead_letter_queue = delivery.dead_letter_queue
        return [delivery.alarm] if delivery.alarm else []

    def metric_undelivered(self, **options: Any) -> cloudwatch.Metric:
        """Messages that SNS could not deliver. ``options``: of the metric."""
        return self.delivery_dead_letter_queue.metric_approximate_number_of_messages_visible(
            **options
        )


def deliver_to_queue(
    scope: Construct,
    source: Source,
    queue: sqs.IQueue,
    settings: Subscription,
    *,
    alarms: Alarms = Alarms(),
) -> Delivery:
    """Subscribe a queue to a topic, and let SNS deliver into it.

    Args: as for ``deliver``.

    Raises:
        ValueError: see ``deliver``; or SNS may not use the queue's key, or the queue is its own
            dead-letter queue or of another account.
    """
    keys.check_service(Path(queue, "queue "), queue, SNS, UNDELIVERABLE)
    here, there = place_of(stack_of(scope))[0], place_of_endpoint(queue)[0]
    if here and there:
        reject(checks.queue_of_another_account(Path(queue, "queue "), here, there))
    _check_apart(queue, settings.dead_letter_queue)
    return deliver(
        scope,
        source,
        settings,
        protocol=sns.SubscriptionProtocol.SQS,
        endpoint=arn_of_queue(queue),
        encryption_key=keys.key_of(queue),
        alarms=alarms,
        # SNS does not deliver an event that comes before its permission.
        dependencies=source.allow_queue(queue),
    )


def deliver(
    scope: Construct,
    source: Source,
    settings: Subscription,
    *,
    protocol: sns.SubscriptionProtocol,
    endpoint: str,
    encryption_key: kms.IKey | None = None,
    alarms: Alarms = Alarms(),
    dependencies: Sequence[IDependable] = (),
    **options: Any,
) -> Delivery:
    """Subscribe an endpoint to a topic, with a dead-letter queue and an alarm on it.

    Args:
        scope: Where subscription, queue and alarm are made.
        source: The topic.
        settings: Which events, and in what form.
        protocol: How SNS delivers.
        endpoint: Where to.
        encryption_key: Customer managed key of a new dead-letter queue. Default: the source's.
        alarms: What the alarm does.
        dependencies: What must be there before the subscription, such as a permission.
        options: More properties of the subscription.

    Raises:
        ValueError: a replay of what is not kept or cannot be read, a dead-letter queue that would
            lose what cannot be delivered, a second subscription of the endpoint, a form that the
            protocol does not have, or messages that are too large for it.
    """
    if settings.replay_from is not None:
        check_replay(source.topic, settings.replay_from)
    raw = _raw(scope, protocol, settings)
    endpoints = _ENDPOINTS.setdefault(source.topic, set())
    if endpoint in endpoints:
        raise ValueError(
            f"{Path(source.topic, 'topic ')} already delivers to this endpoint, to which "
            f"{Path(scope)} would subscribe it again: SNS keeps one subscription, with one filter. "
            "Use one subscription whose filter accepts both."
        )
    endpoints.add(endpoint)
    _check_size(source.topic, protocol, len(endpoints))
    _count_filter(source.topic, settings)
    kept = settings.dead_letter_queue
    _check_place(scope, source, kept)
    if kept is not None:
        check_dead_letter_queue(kept, topic_fifo=source.fifo)
    else:
        kept = queue_for_failures(
            scope,
            "DeliveryDeadLetterQueue",
            reason="It is the subscription's dead-letter queue: its messages wait for a person.",
            fifo=source.fifo,
            encryption_key=encryption_key or source.encryption_key,
        )
    subscription = sns.Subscription(
        scope,
        "Subscription",
        topic=source.topic,
        protocol=protocol,
        endpoint=endpoint,
        region=source.region,
        raw_message_delivery=raw,
        filter_policy=settings.filter_policy,
        filter_policy_with_message_body=settings.filter_policy_with_message_body,
        **options,
    )
    node = subscription.node
    resource: Any = node.default_child
    # The CDK's own dead_letter_queue would let anybody's topic send to it.
    resource.redrive_policy = {"deadLetterTargetArn": arn_of_queue(kept)}
    if settings.replay_from is not None:
        resource.replay_policy = _replay(settings.replay_from)
        if source.topic.master_key is not None:
            source.allow_key(source.topic.master_key)
    node.add_dependency(*source.allow_queue(kept), *dependencies)
    given = settings.dead_letter_queue
    alarm = None
    if given is None or places.elsewhere(scope, given) is None:
        alarm = alarms.on_messages(scope, "UndeliveredAlarm", kept, UNDELIVERED)
    return Delivery(subscription, kept, alarm)


def _raw(
    scope: Construct, protocol: sns.SubscriptionProtocol, settings: Subscription
) -> bool | None:
    """Return whether SNS delivers raw; None for a protocol that has no such choice.

    Raises:
        ValueError: raw delivery was asked of such a protocol.
    """
    name, raw = protocol.name.lower(), settings.raw_message_delivery
    if raw:
        reject(checks.raw_delivery(Path(scope, "The subscription of "), name))
    if name not in checks.RAW:
        return None
    return protocol in RAW_BY_DEFAULT if raw is None else raw


def _check_size(topic: sns.ITopic, protocol: sns.SubscriptionProtocol, count: int) -> None:
    """Reject a subscription that a topic of large messages cannot have."""
    resource = child_of(topic)
    size = number(getattr(resource, "maximum_message_size", None))
    if size is not None:
        name = Path(topic, "topic ")
        reject(checks.large_messages(name, size, protocol.name.lower(), count))


def _count_filter(topic: sns.ITopic, settings: Subscription) -> None:
    """Warn of more filter policies than a topic has, unless AWS has raised the quota."""
    if settings.filter_policy is None and settings.filter_policy_with_message_body is None:
        return
    _FILTERS[topic] = _FILTERS.get(topic, 0) + 1
    if problem := checks.many_filters("This topic", _FILTERS[topic]):
        Annotations.of(topic).add_warning_v2("serverless-patterns:many-filters", problem)


def check_replay(topic: sns.ITopic, start: datetime) -> None:
    """Reject a replay of what is not kept or cannot be read; warn where that is not known.

    Source: https://docs.aws.amazon.com/sns/latest/dg/message-archiving-and-replay-topic-owner.html

    Raises:
        ValueError: no archive, or an archive that is encrypted with the AWS managed key.
    """
    resource = topic.node.default_child
    if not isinstance(resource, sns.CfnTopic):
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic-archive",
            "This topic is imported, so its archive cannot be checked: it must reach back to "
            f"{start.isoformat()}, and a key that encrypts it must allow {SNS}.",
        )
        return
    if resource.archive_policy is None:
        advice = "Set message_retention_period_in_days on it"
        raise ValueError(
            f"replay_from is {start.isoformat()}, but the topic keeps no archive. "
            f"{advice if topic.fifo else 'Leave it out: only a FIFO topic keeps one'}."
        )
    name = f"replay_from is {start.isoformat()}, but the topic's archive"
    keys.check_service(name, topic, SNS, "nothing could be replayed")


def check_dead_letter_queue(queue: sqs.IQueue, *, topic_fifo: bool) -> None:
    """Reject a dead-letter queue that would lose what SNS cannot deliver; warn of an imported one.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html

    Raises:
        ValueError: it is of the other type, or encrypted with the AWS managed key or with a key
            that encrypts nothing.
    """
    name = f"dead_letter_queue {Path(queue)}"
    imported = resource_of(queue) is None
    if queue.fifo or not imported or not is_token(queue.queue_arn):
        fifo = queue.fifo
        reject(checks.dead_letter_queue_type(name, topic_fifo=topic_fifo, dead_letter_fifo=fifo))
    keys.check_key_of(queue)
    keys.check_service(name, queue, SNS, UNDELIVERABLE)
    if imported:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-delivery-dead-letter-queue",
            f"This queue is imported, so it cannot be checked: it must be a {KIND[topic_fifo]} "
            "queue, and messages that SNS cannot deliver are lost after its retention period, "
            f"which is {SQS_DEFAULT_RETENTION // DAY} days unless it is raised, to "
            f"{SQS_MAX_RETENTION // DAY} at most.{ask_for_key(queue)}",
        )


def _check_place(scope: Construct, source: Source, kept: sqs.IQueue | None) -> None:
    """Reject a dead-letter queue of another Region than the topic's, or of another account.

    Raises:
        ValueError: it is known to be there, or its stack needs that of ``scope``.
    """
    account, region = place_of(stack_of(scope))
    if kept is None:
        if source.region and region:
            raise ValueError(
                f"{Path(source.topic, 'topic ')} is in the Region {source.region}, where the "
                "dead-letter queue of a subscription has to be too, and this stack is not. Give "
                "Subscription(dead_letter_queue=…) a queue of that Region, or subscribe in a stack "
                "there."
            )
        return
    places.check_name(scope, Path(kept, "dead_letter_queue "), kept.queue_arn, "queue_name")
    if resource_of(kept):
        check_order(scope, Path(kept, "dead_letter_queue "), kept)
    here = account, source.region or region
    name = Path(scope, "The subscription of ")
    reject(sqs_checks.dead_letter_queue_place(name, here, Path(kept), place_of_endpoint(kept)))


def _check_apart(queue: sqs.IQueue, kept: sqs.IQueue | None) -> None:
    """Reject a dead-letter queue that is unavailable when it is needed.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html

    Raises:
        ValueError: it is the subscribed queue itself.
    """
    if kept is None:
        return
    if kept.node.path == queue.node.path or kept.queue_arn == queue.queue_arn:
        raise ValueError(
            f"dead_letter_queue {kept.node.path} is the subscribed queue itself: a message "
            "that cannot be delivered to it would be lost. Give another queue, or leave it out."
        )


def _replay(start: datetime) -> dict[str, str]:
    start = start.astimezone(UTC)
    point = f"{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03}Z"
    return {"PointType": "Timestamp", "StartingPoint": point}
