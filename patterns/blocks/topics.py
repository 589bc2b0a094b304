"""publisher → SNS → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm: a topic and its subscribers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from constructs import Construct

from .alarms import MINUTE, Alarms, Runbook
from .queues import NewQueue, SqsToLambda
from .subscriptions import Source, Subscription, deliver_to_queue
from .values import seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

    from .consumers import Consumer

# Metric, minutes in a row, what to do:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
TOPIC_ALARMS = (
    (
        "NumberOfNotificationsFailed",
        5,
        Runbook(
            means="Deliveries keep failing. SNS retries for 23 days when SQS is at fault, and not "
            "at all when the queue, its policy or its key is.",
            see="Read the ErrorCode attribute of a message in a delivery dead-letter queue, or "
            "turn on the topic's delivery status logging.",
            fix="Fix the policy of the subscribed queue or of its key, or bring the queue back.",
            verify="NumberOfNotificationsFailed falls to 0, and NumberOfNotificationsDelivered "
            "rises.",
        ),
    ),
    (
        "NumberOfNotificationsRedrivenToDlq",
        1,
        Runbook(
            means="SNS moved events to a subscriber's delivery dead-letter queue.",
            see="The UndeliveredAlarm that rings says which subscriber.",
            fix="Follow the runbook of that alarm.",
            verify="NumberOfNotificationsRedrivenToDlq stays at 0 while events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFailedToRedriveToDlq",
        1,
        Runbook(
            means="Events are LOST: SNS could deliver them neither to a subscriber nor to its "
            "delivery dead-letter queue.",
            see="Look at the policy of each delivery dead-letter queue and of its key; AWS "
            "CloudTrail shows who changed them.",
            fix="Fix the policy, then replay the topic's archive, or publish the events again.",
            verify="NumberOfNotificationsFailedToRedriveToDlq stays at 0, and the subscriber has "
            "the events.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidAttributes",
        1,
        Runbook(
            means="A publisher sends attributes that a filter policy cannot read, so a subscriber "
            "does not get the events.",
            see="Compare the publisher's message attributes with the subscriptions' filter "
            "policies: a String.Array must be JSON.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidMessageBody",
        1,
        Runbook(
            means="A publisher sends bodies that are not JSON, so a subscriber that filters by the "
            "body does not get the events.",
            see="Read the log of the publisher for what it sends.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
)


class QueueSubscriber(SqsToLambda):
    """A subscriber of a topic that takes its events from a queue, at its own pace.

    Args:
        source: The topic.
        fifo: Whether a new queue is FIFO. Default: standard.
        consumer: Function or alias that processes the messages, or with its settings.
        queue: Your own queue, or the settings of a new one.
        subscription: Which events it gets, and in what form.
        encryption_key: Customer managed key of the new queues, unless ``queue`` has one of its own.
            Default: SQS-managed encryption.
        alarms: What the alarms do.

    Attributes:
        queue: Where the events wait; see also ``dead_letter_queue``.
        subscription: Topic to queue.
        delivery_dead_letter_queue: What SNS could not deliver into ``queue``.
        event_source_mapping: Queue to consumer.
        alarms: The subscriber's alarms.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: Source,
        fifo: bool = False,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        encryption_key: kms.IKey | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        if isinstance(queue, NewQueue):
            encryption_key = queue.encryption_key or encryption_key
            queue = replace(queue, fifo=fifo, encryption_key=encryption_key)
        super().__init__(scope, construct_id, consumer=consumer, queue=queue, alarms=alarms)
        delivery = deliver_to_queue(
            self, source, self.queue, subscription, encryption_key=encryption_key, alarms=alarms
        )
        self.subscription = delivery.subscription
        self.delivery_dead_letter_queue = delivery.dead_letter_queue
        self.alarms.append(delivery.alarm)

    def metric_undelivered(self, **options: Any) -> cloudwatch.Metric:
        """Messages that SNS could not deliver. ``options``: of the metric."""
        return self.delivery_dead_letter_queue.metric_approximate_number_of_messages_visible(
            **options
        )


class TopicFanout(Construct):
    """A topic with alarms on its deliveries, and the subscribers that are added to it.

    Attributes:
        topic: Where to publish.
        subscribers: Those that were added, in that order.
    """

    topic: sns.ITopic

    def _publish_from(
        self, source: Source, alarms: Alarms, encryption_key: kms.IKey | None = None
    ) -> None:
        """Deliver from a topic, and watch it.

        Args:
            source: The topic.
            alarms: What the alarms do.
            encryption_key: Customer managed key of the subscribers' new queues. Default:
                SQS-managed encryption.
        """
        self.topic, self._source = source.topic, source
        self._encryption_key = encryption_key
        self._alarms = alarms
        self.subscribers: list[QueueSubscriber] = []
        self._topic_alarms = [
            alarms.above(
                self,
                f"{metric.replace('-', '')}Alarm",
                self.topic.metric(metric, period=seconds(MINUTE), statistic="Sum"),
                runbook,
                evaluation_periods=periods,
            )
            for metric, periods, runbook in TOPIC_ALARMS
        ]

    def _subscribe_queue(
        self,
        construct_id: str,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue,
        subscription: Subscription,
        alarms: Alarms | None,
        *,
        fifo: bool = False,
    ) -> QueueSubscriber:
        subscriber = QueueSubscriber(
            self,
            construct_id,
            source=self._source,
            fifo=fifo,
            consumer=consumer,
            queue=queue,
            subscription=subscription,
            encryption_key=self._encryption_key,
            alarms=alarms or self._alarms,
        )
        self.subscribers.append(subscriber)
        return subscriber

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
