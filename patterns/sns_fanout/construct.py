"""publisher → SNS → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.alarms import Alarms
from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.subscriptions import Subscription
from ..blocks.topics import QueueSubscriber, TopicFanout
from .topic import NewTopic, source_of

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["Alarms", "Consumer", "NewQueue", "NewTopic", "SnsFanout", "Subscription"]


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
        key = topic.encryption_key if isinstance(topic, NewTopic) else None
        self._publish_from(source_of(self, topic), alarms.of_pattern(__name__), key)

    def add_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> QueueSubscriber:
        """Add a subscriber that takes its events from a queue.

        Args:
            construct_id: Its id below the fan-out.
            consumer: Function or alias that processes the messages, or with its settings.
            queue: Your own standard queue, or the settings of a new one.
            subscription: Which events it gets, and in what form.
            alarms: What its alarms do, and when they ring. Default: as the fan-out's.

        Raises:
            ValueError: a configuration that would fail or lose events.
        """
        alarms = alarms and alarms.of_pattern(__name__)
        return self._subscribe_queue(construct_id, consumer, queue, subscription, alarms)
