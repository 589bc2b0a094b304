"""publisher → SNS → SQS, Lambda, Firehose → S3, HTTPS;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Size
from aws_cdk import aws_sns as sns

from ..blocks.alarms import Alarms
from ..blocks.buckets import NewBucket
from ..blocks.consumers import Consumer
from ..blocks.firehose import Buffering, in_mebibytes
from ..blocks.lakes import JsonLines, Lake, Raw
from ..blocks.queues import NewQueue
from ..blocks.subscribers import DEFAULT_POLICY
from ..blocks.subscriptions import Subscription
from ..blocks.topic_subscribers import (
    ArchiveSubscriber,
    EndpointSubscriber,
    FunctionSubscriber,
)
from ..blocks.topics import TopicFanout, TopicSettings, new_standard_source, own_source
from ..blocks.values import child_of, expect, expect_fields
from ..checks import reject
from ..checks import sns as checks
from .alerts import Alerts

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from constructs import Construct

    from ..blocks.sources import Source

__all__ = [
    "Alarms",
    "Alerts",
    "Buffering",
    "Consumer",
    "JsonLines",
    "Lake",
    "NewBucket",
    "NewQueue",
    "NewTopic",
    "Raw",
    "SnsFanout",
    "Subscription",
]


@dataclass(frozen=True, kw_only=True)
class NewTopic(TopicSettings):
    """Settings of a new standard topic.

    Attributes:
        max_message_size: Largest message with its attributes, 1 KiB to 1 MiB; above 256 KiB the
            topic has no endpoints, and 100 subscriptions at most. Default: 256 KiB.
        data_protection_policy: Of personal data that SNS finds in messages: audits, masks, redacts
            or denies it. For accounts that had such a policy before 2026-04-30; others cannot
            have one (https://docs.aws.amazon.com/sns/latest/dg/sns-message-data-protection-availability-change.html).
            Default: none.

    Raises:
        ValueError: a size or a policy that SNS rejects, or a key with which it cannot deliver.
    """

    max_message_size: Size | None = None
    data_protection_policy: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Reject what SNS rejects."""
        super().__post_init__()
        expect_fields(self, max_message_size=(Size, None), data_protection_policy=(Mapping, None))
        if self.bytes is not None:
            reject(checks.max_message_size("max_message_size", self.bytes))
        if self.data_protection_policy is not None:
            name = "data_protection_policy"
            reject(checks.data_protection_policy(name, self.data_protection_policy))

    @property
    def bytes(self) -> float | None:
        """The largest message in bytes, if it is given and known."""
        mebibytes = in_mebibytes(self.max_message_size) if self.max_message_size else None
        return None if mebibytes is None else mebibytes * 1024**2


class SnsFanout(TopicFanout):
    """Publish an event once; every subscriber takes the events that it asks for, at its own pace.

    Subscribers are added by ``add_queue()``, with a consumer behind the queue, ``add_function()``,
    ``add_archive()``, which stores events in S3, and ``add_endpoint()``, which posts them by HTTPS.
    A subscriber that fails or lags delays nobody else. Events that SNS cannot deliver move to the
    subscriber's ``delivery_dead_letter_queue``, and those that a consumer or a function cannot
    process to its ``dead_letter_queue`` or ``failure_queue``; each raises an alarm. Delivery is at
    least once and unordered, so consumers must be idempotent.

    Args:
        topic: Your own standard topic, or the settings of a new one.
        alarms: What the alarms do.

    Attributes:
        topic: Where to publish.
        subscribers: Those that were added, in that order.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    subscribers: list[Any]

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic | NewTopic = NewTopic(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        self._publish_from(source_of(self, topic), alarms, __name__)

    def add_function(
        self,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> FunctionSubscriber:
        """Add a function that is invoked for each event at once, however many there are.

        Put a queue in front (``add_queue``) of one that writes in batches, or that a burst could
        overload.

        Args:
            construct_id: Its id below the fan-out.
            function: Function or alias. You own its code: it must be idempotent, and raise what it
                cannot process.
            subscription: Which events it gets; always wrapped in the JSON of SNS.
            alarms: What its alarms do. Default: as the fan-out's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        alarms = self._to_add(construct_id, subscription, alarms)
        expect("function", function, "IFunction")
        one = FunctionSubscriber(self, construct_id)
        one.subscribe_to(self._source, function, subscription, alarms)
        self._added(one, construct_id, function)
        return one

    def add_archive(
        self,
        construct_id: str,
        *,
        bucket: s3.IBucket | NewBucket = NewBucket(),
        lake: Lake = Lake(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> ArchiveSubscriber:
        """Add a bucket to which Firehose writes the events, one a line.

        Args:
            construct_id: Its id below the fan-out.
            bucket: Your own bucket, or the settings of a new one.
            lake: Folders, form and buffers, without a table and partition keys.
            subscription: Which events. Raw, the default, is the body alone; give
                ``raw_message_delivery=False`` to keep id, time and attributes, too.
            alarms: What its alarms do. Default: as the fan-out's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        alarms = self._to_add(construct_id, subscription, alarms)
        expect("bucket", bucket, "IBucket", NewBucket)
        if isinstance(bucket, NewBucket) and bucket.encryption_key is None:
            bucket = replace(bucket, encryption_key=self._source.encryption_key)
        one = ArchiveSubscriber(self, construct_id)
        one.subscribe_to(self._source, bucket, lake, subscription, alarms)
        self._added(one, construct_id, bucket)
        return one

    def add_endpoint(
        self,
        construct_id: str,
        *,
        url: str,
        delivery_policy: sns.DeliveryPolicy = DEFAULT_POLICY,
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> EndpointSubscriber:
        """Add an HTTPS endpoint, which gets events once it has confirmed the subscription.

        SNS posts to it at the deployment, which fails with "Unreachable Endpoint" if it is not up,
        and forgets the subscription if it does not confirm within two days. It should confirm with
        ``AuthenticateOnUnsubscribe``, or anybody who has seen a message can end the subscription by
        its ``UnsubscribeURL``.

        Args:
            construct_id: Its id below the fan-out.
            url: Such as ``https://partner.example.com/orders``.
            delivery_policy: How often SNS retries 429, 5xx and no answer; how many deliveries it
                makes a second; their content type. Default: 14 retries within an hour.
            subscription: Which events; wrapped and signed, unless raw delivery is asked for.
            alarms: What its alarms do. Default: as the fan-out's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        alarms = self._to_add(construct_id, subscription, alarms)
        one = EndpointSubscriber(self, construct_id)
        one.subscribe_to(self._source, url, delivery_policy, subscription, alarms)
        self._added(one, construct_id)
        return one


def source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    """Return your own topic, or a new one, as a source of deliveries.

    Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html

    Raises:
        ValueError: your own topic is FIFO, or its key encrypts nothing.
    """
    expect("topic", topic, NewTopic, "ITopic")
    if isinstance(topic, NewTopic):
        return _new_source(scope, topic)
    if topic.fifo:
        raise ValueError(
            f"topic {topic.node.path} is a FIFO topic, whose order a standard queue loses. Use "
            "SnsFifoFanout, or a standard topic."
        )
    return own_source(scope, topic, fifo=False)


def _new_source(scope: Construct, new: NewTopic) -> Source:
    # Signature version 2 is SHA-256; endpoints verify it.
    source = new_standard_source(scope, new, signature_version="2")
    resource: Any = child_of(source.topic)
    if new.max_message_size is not None:
        resource.maximum_message_size = new.max_message_size.to_kibibytes() * 1024
    if new.data_protection_policy is not None:
        resource.data_protection_policy = dict(new.data_protection_policy)
        Annotations.of(source.topic).add_warning_v2(
            "serverless-patterns:data-protection-policy",
            "AWS accepts a data protection policy only from accounts that had one before it closed "
            "the feature. Elsewhere, remove personal data before it is published.",
        )
    return source
