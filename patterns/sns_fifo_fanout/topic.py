"""A new FIFO topic: its settings, its key, and what it rejects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import aws_sns as sns

from ..blocks import topics
from ..blocks.subscriptions import check_dead_letter_queue
from ..blocks.values import expect, expect_fields, number
from ..checks import reject
from ..checks import sns as checks
from . import rules

if TYPE_CHECKING:
    from constructs import Construct

    from ..blocks.sources import Source


@dataclass(frozen=True, kw_only=True)
class NewTopic(topics.TopicSettings):
    """Settings of a new FIFO topic, which is encrypted and requires TLS.

    Attributes:
        content_based_deduplication: SNS takes the SHA-256 of the body, without the attributes, for
            a deduplication id that is not given: two equal bodies within five minutes are then one
            event. Default: False, every publisher names an id.
        fifo_throughput_scope: Where deduplication ids count: in the message group (highest
            throughput), or in the whole topic (3,000 messages/s). Default: ``MESSAGE_GROUP``.
        message_retention_period_in_days: Archives messages for 1 to 365 days, to replay them to a
            subscriber; needs ``encryption_key``. A topic with an archive cannot be deleted before
            its archive policy is removed
            (https://docs.aws.amazon.com/sns/latest/dg/message-archiving-and-replay-topic-owner.html).
            Default: no archive.
        encryption_key: As of every topic: see ``TopicSettings``.

    Raises:
        ValueError: an archive that SNS does not keep or cannot replay, or a key that encrypts
            nothing or that SNS may not use.
    """

    content_based_deduplication: bool = False
    fifo_throughput_scope: sns.FifoThroughputScope = sns.FifoThroughputScope.MESSAGE_GROUP
    message_retention_period_in_days: float | None = None

    def __post_init__(self) -> None:
        """Reject an archive that SNS cannot replay, and a key with which it cannot deliver.

        Source:
        https://docs.aws.amazon.com/sns/latest/dg/message-archiving-and-replay-topic-owner.html
        """
        super().__post_init__()
        expect_fields(
            self,
            content_based_deduplication=(bool,),
            fifo_throughput_scope=(sns.FifoThroughputScope,),
            message_retention_period_in_days=(int, None),
        )
        days = self.message_retention_period_in_days
        if days is None:
            return
        known = number(days)
        reject(checks.archive(known) if known is not None else None)
        if self.encryption_key is None:
            raise ValueError(
                f"message_retention_period_in_days is {days} without encryption_key: SNS replays "
                "an encrypted archive with a key whose policy allows it, and that of the AWS "
                "managed key does not. Give encryption_key."
            )


class FifoTopic(sns.Topic):
    """A FIFO topic that rejects, at synthesis, the subscribers that it cannot deliver to."""

    def add_subscription(self, subscription: sns.ITopicSubscription) -> sns.Subscription:
        """Subscribe a queue.

        Raises:
            ValueError: it is no queue, or its dead-letter queue would lose what is undelivered.
        """
        config = subscription.bind(self)
        rules.check_protocol(config.protocol.name)
        if config.dead_letter_queue is not None:
            check_dead_letter_queue(config.dead_letter_queue, topic_fifo=True)
        return super().add_subscription(subscription)


def source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    """Return your own topic, or a new one, as a source of deliveries.

    Raises:
        ValueError: your own topic keeps no order, or its key encrypts nothing.
    """
    expect("topic", topic, NewTopic, "ITopic")
    if not isinstance(topic, NewTopic):
        rules.check_topic(topic)
        return topics.own_source(scope, topic, fifo=True)
    return topics.new_fifo_source(
        scope,
        topic,
        FifoTopic,
        content_based_deduplication=topic.content_based_deduplication or None,
        fifo_throughput_scope=topic.fifo_throughput_scope,
        message_retention_period_in_days=topic.message_retention_period_in_days,
    )
