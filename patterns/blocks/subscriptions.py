"""SNS → anything it delivers to;  SNS ⇢ DLQ ⇢ alarm: the subscription and its permissions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from ..checks import kms as kms_checks
from ..checks import reject
from ..checks import sns as checks
from ..checks import sqs as sqs_checks
from ..checks.sqs import KIND
from ..limits import SQS_DEFAULT_RETENTION, SQS_MAX_RETENTION
from . import keys, places
from .alarms import Alarms, Runbook
from .queues import ask_for_key, queue_for_failures, resource_of
from .values import Path, expect, expect_fields, is_token, place_of, stack_of

if TYPE_CHECKING:
    from aws_cdk import IResource
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from constructs import Construct, IConstruct, IDependable

SNS = "sns.amazonaws.com"
DAY = 86_400
# The endpoints that the subscriptions made here deliver to, by topic.
_ENDPOINTS: WeakKeyDictionary[sns.ITopic, set[str]] = WeakKeyDictionary()
KEY_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
# https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
TAKE_RAW = (
    sns.SubscriptionProtocol.SQS,
    sns.SubscriptionProtocol.FIREHOSE,
    sns.SubscriptionProtocol.HTTP,
    sns.SubscriptionProtocol.HTTPS,
)
UNDELIVERED = Runbook(
    means="SNS could not deliver events to this subscriber; each is stored in its delivery "
    "dead-letter queue.",
    see="Read the ErrorCode and ErrorMessage attributes of a message in that queue.",
    fix="Fix what they name: most often the policy of the subscribed queue or of its key. Then "
    "send the messages to the subscriber, or replay the topic's archive; the redrive of SQS does "
    "not work for this queue.",
    verify="The delivery dead-letter queue is empty, and stays empty while events are published.",
)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Which events of a topic a subscriber gets, and in what form.

    Attributes:
        filter_policy: Which events, by message attributes. Default: all.
        filter_policy_with_message_body: Which events, by their JSON body. SNS drops an event whose
            body is not JSON. Default: all.
        raw_message_delivery: Whether body and attributes arrive as they were published, with at
            most 10 attributes, or the event is not delivered. Default: True; False wraps both in
            the JSON envelope of SNS, as functions and mailboxes always get it.
        replay_from: Replays the archive of a FIFO topic from this point in time, which has a time
            zone, when it is deployed; change it to replay again. Default: no replay.
        dead_letter_queue: Your own queue, of the topic's type, for what SNS cannot deliver.
            Default: a new one that keeps it for 14 days.

    Raises:
        ValueError: both filters, a point in time without a time zone, or a value of the wrong type.
    """

    filter_policy: Mapping[str, sns.SubscriptionFilter] | None = None
    filter_policy_with_message_body: Mapping[str, sns.FilterOrPolicy] | None = None
    raw_message_delivery: bool = True
    replay_from: datetime | None = None
    dead_letter_queue: sqs.IQueue | None = None

    def __post_init__(self) -> None:
        """Reject two filters, and a point in time that is none.

        Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering-scope.html

        Raises:
            ValueError: both filters, a point in time without a time zone, or a value of the wrong
                type.
        """
        expect_fields(
            self,
            filter_policy=(Mapping, None),
            filter_policy_with_message_body=(Mapping, None),
            raw_message_delivery=(bool,),
            replay_from=(datetime, None),
            dead_letter_queue=("IQueue", None),
        )
        by_attributes, by_body = self.filter_policy, self.filter_policy_with_message_body
        if by_attributes is not None:
            for key, chosen in by_attributes.items():
                expect(f"filter_policy[{key!r}]", chosen, sns.SubscriptionFilter)
            combinations = prod(len(chosen.conditions) for chosen in by_attributes.values())
            reject(checks.filter_policy("filter_policy", len(by_attributes), combinations))
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
            counts.append(depth * len(inner.filter_doc.conditions))
    return prod(counts)


@dataclass(frozen=True)
class Delivery:
    """One delivery leg of a topic.

    Attributes:
        subscription: Topic to endpoint.
        dead_letter_queue: What SNS could not deliver.
        alarm: Rings while that queue holds anything; None when it is in another Region, and so is
            its metric.
    """

    subscription: sns.Subscription
    dead_letter_queue: sqs.IQueue
    alarm: cloudwatch.Alarm | None


class Source:
    """A topic, and the permissions that SNS needs to deliver from it.

    Each holds for SNS on behalf of this topic of this account alone, so that nobody else's topic
    can use it (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).

    Args:
        topic: The topic.
        scope: Where its subscriptions are made. Default: the topic's stack.
        fifo: Whether it is FIFO. Default: as it says.
        arn: Its ARN, as policies of its own stack name it. Default: the topic's attribute.
        pattern: What matches its ARN, for policies in other stacks. Default: made of the topic's
            own name, or else all topics of its account and Region.
        encryption_key: Customer managed key of new queues for what it delivers. Default:
            SQS-managed encryption.

    Attributes:
        elsewhere: The topic's account or Region, if it is known to be another one than that of its
            subscriptions; else None.
    """

    def __init__(
        self,
        topic: sns.ITopic,
        *,
        scope: Construct | None = None,
        fifo: bool | None = None,
        arn: str | None = None,
        pattern: str | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        self.topic, self.encryption_key = topic, encryption_key
        self.fifo: bool = topic.fifo if fifo is None else fifo
        self.elsewhere = places.elsewhere(scope, topic) if scope else None
        self._arn = arn or topic.topic_arn
        self._known_pattern = pattern
        self._stack = stack_of(topic)
        self._subscribes_in = stack_of(scope) if scope else self._stack
        self._account, self._region = topic.env.account, place_of(topic)[1]
        self._keys: set[kms.IKey] = set()

    @property
    def region(self) -> str | None:
        """The Region that a subscription has to name: the topic's, if it may be another one."""
        return None if self._region == place_of(self._subscribes_in)[1] else self._region

    def allow_queue(self, queue: sqs.IQueue) -> list[IDependable]:
        """Let SNS deliver from the topic into a queue; return what the subscription waits for."""
        added = queue.add_to_resource_policy(
            self._statement(queue, self._arn_for(queue), ["sqs:SendMessage"], queue.queue_arn)
        )
        if not added.statement_added:
            Annotations.of(queue).add_warning_v2(
                "serverless-patterns:imported-queue-policy",
                "This queue is imported, so its policy and encryption cannot be checked or changed "
                f"here: it must allow sqs:SendMessage to {SNS} with aws:SourceArn and "
                "aws:SourceAccount of the topic, and not be encrypted with the AWS managed key, or "
                "nothing is delivered.",
            )
        if queue.encryption_master_key is not None:
            self.allow_key(queue.encryption_master_key)
        return [added.policy_dependable] if added.policy_dependable is not None else []

    def allow_key(self, key: kms.IKey) -> None:
        """Let SNS encrypt with a key what it delivers, and decrypt what it replays."""
        if key in self._keys:
            return
        self._keys.add(key)
        added = key.add_to_resource_policy(
            self._statement(key, self._arn_for_key(key), KEY_ACTIONS, "*"), True
        )
        if not added.statement_added:
            Annotations.of(key).add_warning_v2(
                "serverless-patterns:imported-key-policy",
                "This key is imported, so its policy cannot be changed here: it must allow "
                f"{' and '.join(KEY_ACTIONS)} to {SNS} with aws:SourceArn and aws:SourceAccount of "
                "the topic, or nothing is delivered.",
            )

    def _arn_for(self, resource: IConstruct) -> str:
        """Return the ARN, or a pattern of it where two stacks would depend on each other.

        A stack of a subscription depends on the topic's anyway, unless that is nested in it.
        """
        stack = stack_of(resource)
        depends = stack is self._subscribes_in and self._stack.nested_stack_parent is None
        return self._arn if stack is self._stack or depends else self._pattern

    def _arn_for_key(self, key: kms.IKey) -> str:
        """Return the ARN, or a pattern of it where the key and the topic would name each other."""
        own_key = self.topic.master_key
        if self._known_pattern or own_key is None or not keys.same(own_key, key):
            return self._arn_for(key)
        return self._pattern

    @cached_property
    def _pattern(self) -> str:
        """What matches the ARN without referring to the topic."""
        if self._known_pattern is not None:
            return self._known_pattern
        resource: Any = self.topic.node.default_child
        if resource is None:
            return self._arn
        name = resource.topic_name
        if name is None or is_token(name):
            name = "*.fifo" if self.fifo else "*"
        return self._stack.format_arn(service="sns", resource=name)

    def _statement(
        self, resource: IResource, arn: str, actions: list[str], acts_on: str
    ) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            principals=[self._principal(resource)],
            actions=actions,
            resources=[acts_on],
            conditions={
                "ArnLike": {"aws:SourceArn": arn},
                "StringEquals": {"aws:SourceAccount": self._account},
            },
        )

    def _principal(self, resource: IResource) -> iam.ServicePrincipal:
        """Return SNS as the policy of a subscribed resource names it.

        Source: https://docs.aws.amazon.com/sns/latest/dg/sns-cross-region-delivery.html

        Raises:
            ValueError: topic and resource are in two opt-in Regions.
        """
        there, here = self._region, _place_of(resource)[1]
        if there is None or here is None or there == here:
            return iam.ServicePrincipal(SNS)
        from aws_cdk.region_info import RegionInfo  # few topics are in another Region

        opt_in = [one for one in (here, there) if RegionInfo.get(one).is_opt_in_region]
        if len(opt_in) > 1:
            raise ValueError(
                f"{Path(self.topic, 'topic ')} is in {there} and {resource.node.path} in {here}: "
                "SNS does not deliver from one opt-in Region to another. Put both into one Region."
            )
        if not opt_in:
            return iam.ServicePrincipal(SNS)
        return iam.ServicePrincipal.from_static_service_principle_name(
            f"sns.{opt_in[0]}.amazonaws.com"
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
    check_encryption(f"queue {Path(queue)}", queue)
    here, there = place_of(stack_of(scope))[0], _place_of(queue)[0]
    if here and there:
        reject(checks.queue_of_another_account(Path(queue, "queue "), here, there))
    _check_apart(queue, settings.dead_letter_queue)
    delivery = deliver(
        scope,
        source,
        settings,
        protocol=sns.SubscriptionProtocol.SQS,
        endpoint=queue.queue_arn,
        encryption_key=queue.encryption_master_key,
        alarms=alarms,
    )
    # SNS does not deliver an event that comes before its permission.
    delivery.subscription.node.add_dependency(*source.allow_queue(queue))
    return delivery


def deliver(
    scope: Construct,
    source: Source,
    settings: Subscription,
    *,
    protocol: sns.SubscriptionProtocol,
    endpoint: str,
    encryption_key: kms.IKey | None = None,
    alarms: Alarms = Alarms(),
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

    Raises:
        ValueError: a replay of what is not kept or cannot be read, a dead-letter queue that would
            lose what cannot be delivered, or a second subscription of the endpoint.
    """
    if settings.replay_from is not None:
        check_replay(source.topic, settings.replay_from)
    endpoints = _ENDPOINTS.setdefault(source.topic, set())
    if endpoint in endpoints:
        raise ValueError(
            f"{Path(source.topic, 'topic ')} already delivers to this endpoint, to which "
            f"{Path(scope)} would subscribe it again: SNS keeps one subscription, with one filter. "
            "Use one subscription whose filter accepts both."
        )
    endpoints.add(endpoint)
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
        raw_message_delivery=settings.raw_message_delivery if protocol in TAKE_RAW else None,
        filter_policy=settings.filter_policy,
        filter_policy_with_message_body=settings.filter_policy_with_message_body,
    )
    resource: Any = subscription.node.default_child
    # The CDK's own dead_letter_queue would let anybody's topic send to it.
    resource.redrive_policy = {"deadLetterTargetArn": kept.queue_arn}
    if settings.replay_from is not None:
        resource.replay_policy = _replay(settings.replay_from)
        if source.topic.master_key is not None:
            source.allow_key(source.topic.master_key)
    subscription.node.add_dependency(*source.allow_queue(kept))
    given = settings.dead_letter_queue
    alarm = None
    if given is None or places.elsewhere(scope, given) is None:
        alarm = alarms.on_messages(scope, "UndeliveredAlarm", kept, UNDELIVERED)
    return Delivery(subscription, kept, alarm)


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
    key_id = topic.master_key.key_id if topic.master_key else resource.kms_master_key_id or ""
    name = f"replay_from is {start.isoformat()}, but the topic's archive"
    reject(kms_checks.service_may_use(name, key_id, SNS, "nothing could be replayed"))


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
    check_encryption(name, queue)
    if imported:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-delivery-dead-letter-queue",
            f"This queue is imported, so it cannot be checked: it must be a {KIND[topic_fifo]} "
            "queue, and what SNS cannot deliver is lost after its retention period, which is "
            f"{SQS_DEFAULT_RETENTION // DAY} days unless it is raised, to "
            f"{SQS_MAX_RETENTION // DAY} at most.{ask_for_key(queue)}",
        )


def check_encryption(name: object, queue: sqs.IQueue) -> None:
    """Reject a queue into which SNS cannot deliver.

    Raises:
        ValueError: it is encrypted with a key that AWS manages.
    """
    key = queue.encryption_master_key
    key_id = key.key_id if key else getattr(resource_of(queue), "kms_master_key_id", None)
    if key_id is None:
        return
    reject(kms_checks.service_may_use(name, key_id, SNS, "every delivery would fail"))


def _check_place(scope: Construct, source: Source, kept: sqs.IQueue | None) -> None:
    """Reject a dead-letter queue of another Region than the topic's, or of another account.

    Raises:
        ValueError: it is known to be there.
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
    here = account, source.region or region
    name = Path(scope, "The subscription of ")
    reject(sqs_checks.dead_letter_queue_place(name, here, Path(kept), _place_of(kept)))


def _place_of(resource: IResource) -> tuple[str | None, str | None]:
    """Return ``place_of`` a resource; that of a queue of this app is known of its stack."""
    return place_of(stack_of(resource) if isinstance(resource, sqs.Queue) else resource)


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
