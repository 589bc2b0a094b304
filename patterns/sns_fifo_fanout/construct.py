"""publisher → SNS FIFO → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs import Construct

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.subscriptions import Subscription
from ..blocks.values import seconds
from .alarms import TOPIC_ALARMS
from .subscriber import Subscriber
from .topic import NewTopic, source_of

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

__all__ = [
    "Alarms",
    "Consumer",
    "NewQueue",
    "NewTopic",
    "SnsFifoFanout",
    "Subscriber",
    "Subscription",
]


class SnsFifoFanout(Construct):
    """Publish an event once, in order; every subscriber takes it at its own pace.

    Subscribers are added by ``add_fifo_queue()`` and ``add_queue()``, each with its own queue,
    filter and consumer. Order is kept within a message group, in FIFO queues; from a standard
    queue events may come out of order and more than once. A subscriber that fails or lags holds
    up nobody else. Events that SNS cannot deliver move to the subscriber's
    ``delivery_dead_letter_queue``, events that its consumer cannot process to its
    ``dead_letter_queue``; both raise an alarm.

    SNS delivers a deduplication id once in five minutes. After that, and from a replay or a
    redrive, an event can come again, and behind newer ones: consumers must be idempotent and keep
    an older event from undoing a newer one.

    Args:
        topic: Your own FIFO topic, or the settings of a new one.
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
        self._source = source_of(self, topic)
        self._encryption_key = topic.encryption_key if isinstance(topic, NewTopic) else None
        self.topic = self._source.topic
        self.subscribers: list[Subscriber] = []
        self._alarms = alarms.of_pattern(__name__)
        self._topic_alarms = [
            self._alarm(metric, periods, runbook) for metric, periods, runbook in TOPIC_ALARMS
        ]

    def add_fifo_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> Subscriber:
        """Add a subscriber that gets each message group's events in order.

        An event that fails holds up its group, and no other, until it is processed or
        dead-lettered.

        Args:
            construct_id: Its id below the fan-out.
            consumer: Function or alias that processes the messages, or with its settings.
            queue: Your own FIFO queue, or the settings of a new one.
            subscription: Which events it gets, and in what form.
            alarms: What its alarms do, and when they ring. Default: as the fan-out's.

        Raises:
            ValueError: see ``Subscriber``.
        """
        return self._add(construct_id, True, consumer, queue, subscription, alarms)

    def add_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> Subscriber:
        """Add a subscriber that gets the events in large batches, in no order, at least once.

        The message group does not reach a standard queue. Args: as for ``add_fifo_queue``, with a
        standard queue.

        Raises:
            ValueError: see ``Subscriber``.
        """
        return self._add(construct_id, False, consumer, queue, subscription, alarms)

    @property
    def alarms(self) -> list[cloudwatch.Alarm]:
        """Every alarm of the pattern, the subscribers' included."""
        of_subscribers = [alarm for one in self.subscribers for alarm in one.alarms]
        return self._topic_alarms + of_subscribers

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish, and use the topic's customer key for it."""
        return self.topic.grant_publish(grantee)

    def metric_number_of_messages_published(self, **options: Any) -> cloudwatch.Metric:
        """Messages published to the topic. ``options``: of the metric."""
        return self.topic.metric_number_of_messages_published(**options)

    def metric_number_of_notifications_failed(self, **options: Any) -> cloudwatch.Metric:
        """Deliveries that failed, over all subscribers. ``options``: of the metric."""
        return self.topic.metric_number_of_notifications_failed(**options)

    def _add(
        self,
        construct_id: str,
        fifo: bool,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue,
        subscription: Subscription,
        alarms: Alarms | None,
    ) -> Subscriber:
        subscriber = Subscriber(
            self,
            construct_id,
            source=self._source,
            fifo=fifo,
            consumer=consumer,
            queue=queue,
            subscription=subscription,
            encryption_key=self._encryption_key,
            alarms=alarms.of_pattern(__name__) if alarms else self._alarms,
        )
        self.subscribers.append(subscriber)
        return subscriber

    def _alarm(self, metric: str, periods: int, runbook: Runbook) -> cloudwatch.Alarm:
        return self._alarms.above(
            self,
            f"{metric.replace('-', '')}Alarm",
            self.topic.metric(metric, period=seconds(MINUTE), statistic="Sum"),
            runbook,
            evaluation_periods=periods,
        )
