"""publisher → SNS → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_sns as sns

from ..blocks.alarms import Alarms
from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.subscriptions import Subscription
from ..blocks.topics import TopicFanout, TopicSettings, new_source, own_source
from ..blocks.values import expect

if TYPE_CHECKING:
    from constructs import Construct

    from ..blocks.sources import Source

__all__ = ["Alarms", "Consumer", "NewQueue", "NewTopic", "SnsFanout", "Subscription"]


class NewTopic(TopicSettings):
    """Settings of a new standard topic."""


class SnsFanout(TopicFanout):
    """Publish an event once; every subscriber takes the events that it asks for, at its own pace.

    Subscribers are added by ``add_queue()``, each with its own queue, filter and consumer. A
    subscriber that fails or lags delays nobody else. Events that SNS cannot deliver move to the
    subscriber's ``delivery_dead_letter_queue``, events that its consumer cannot process to its
    ``dead_letter_queue``; both raise an alarm. Delivery is at least once and unordered, so
    consumers must be idempotent.

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


def source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    """Return your own topic, or a new one, as a source of deliveries.

    Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html

    Raises:
        ValueError: your own topic is FIFO, or its key encrypts nothing.
    """
    expect("topic", topic, NewTopic, "ITopic")
    if isinstance(topic, NewTopic):
        made = sns.Topic(scope, "Topic", master_key=topic.encryption_key, enforce_ssl=True)
        return new_source(made, topic)
    if topic.fifo:
        raise ValueError(
            f"topic {topic.node.path} is a FIFO topic, whose order a standard queue loses. Use "
            "SnsFifoFanout, or a standard topic."
        )
    return own_source(scope, topic, fifo=False)
