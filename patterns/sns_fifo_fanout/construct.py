"""publisher → SNS FIFO → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_sns as sns
from constructs import Construct

from ..foundation import rules
from ..foundation.alarms import alarm_when_above
from ..foundation.queues import name_known_before_creation, pattern_of_name
from . import delivery
from .subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

__all__ = ["SnsFifoFanout", "Subscriber"]

# Every caller of the account that may publish may use it (AWS KMS developer guide, "AWS managed
# keys"), so no grant is needed.
AWS_MANAGED_KEY = "alias/aws/sns"


class SnsFifoFanout(Construct):
    """Publish an event once, in order; every subscriber takes it at its own pace.

    Subscribers are added by ``add_fifo_queue()`` and ``add_queue()``, each with its own queue,
    filter and consumer. Order is kept within a message group, in FIFO queues; from a standard
    queue events may come out of order and more than once. A subscriber that fails or lags holds
    up nobody else. What SNS cannot deliver moves to the subscriber's
    ``delivery_dead_letter_queue``, what its consumer cannot process to its ``dead_letter_queue``;
    both raise an alarm.

    SNS delivers a deduplication id once in five minutes. After that, and from a replay or a
    redrive, an event can come again, and behind newer ones: consumers must be idempotent and keep
    an older event from undoing a newer one.

    Args:
        topic: Your own FIFO topic. Default: a new one that refuses plain HTTP.
        content_based_deduplication: The new topic takes the SHA-256 of the body, without the
            attributes, for a deduplication id that is not given: two equal bodies within five
            minutes are then one event. Default: False, every publisher names an id.
        fifo_throughput_scope: Where the new topic's deduplication ids count: in the message group
            (highest throughput), or in the whole topic (3,000 messages/s). Default:
            ``MESSAGE_GROUP``.
        message_retention_period_in_days: The new topic archives its messages for 1 to 365 days,
            to replay them to a subscriber; needs ``encryption_key``. A topic with an archive
            cannot be deleted before its archive policy is removed (Amazon SNS developer guide,
            "Amazon SNS message archiving for FIFO topic owners"). Default: no archive.
        encryption_key: Customer key of the new topic and of all new queues; its policy comes to
            admit SNS for this topic. Default: the AWS managed key of SNS for the topic, with
            which AWS services cannot publish, and SQS-managed encryption for the queues.
        alarm_actions: What every alarm does, such as publish to a topic. Default: nothing.

    Attributes:
        topic: Where to publish.
        subscribers: Those that were added, in that order.

    Raises:
        ValueError: a topic of your own together with a setting that only a new one can take, or a
            configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic | None = None,
        content_based_deduplication: bool | None = None,
        fifo_throughput_scope: sns.FifoThroughputScope | None = None,
        message_retention_period_in_days: int | None = None,
        encryption_key: kms.IKey | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        rules.refuse_settings_beside(
            "topic",
            topic,
            content_based_deduplication=content_based_deduplication,
            fifo_throughput_scope=fifo_throughput_scope,
            message_retention_period_in_days=message_retention_period_in_days,
        )
        delivery.check_encryption_key(encryption_key)
        if topic:
            delivery.check_topic(topic)
            self._source = delivery.Source(topic, topic.topic_arn)
        else:
            delivery.check_archive(message_retention_period_in_days, encryption_key)
            self._source = _new_topic(
                self,
                content_based_deduplication=content_based_deduplication,
                fifo_throughput_scope=fifo_throughput_scope
                or sns.FifoThroughputScope.MESSAGE_GROUP,
                message_retention_period_in_days=message_retention_period_in_days,
                encryption_key=encryption_key,
            )
        self.topic = self._source.topic
        self.subscribers: list[Subscriber] = []
        self._encryption_key = encryption_key
        self._alarm_actions = alarm_actions
        self._topic_alarms = [
            self._alarm_on_topic(name, periods, description)
            for name, periods, description in TOPIC_ALARMS
        ]

    def add_fifo_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction,
        queue: sqs.IQueue | None = None,
        filter_policy: Mapping[str, sns.SubscriptionFilter] | None = None,
        filter_policy_with_message_body: Mapping[str, sns.FilterOrPolicy] | None = None,
        raw_message_delivery: bool = True,
        replay_from: datetime | None = None,
        delivery_dead_letter_queue: sqs.IQueue | None = None,
        visibility_timeout: Duration | None = None,
        retention_period: Duration | None = None,
        max_receive_count: int | None = None,
        batch_size: int = 10,
        max_concurrency: int | None = None,
        provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None,
        max_message_age: Duration | None = None,
    ) -> Subscriber:
        """Add a subscriber that gets each message group's events in order.

        Args: as for ``Subscriber``. An event that fails holds up its group, and no other, until it
        is processed or dead-lettered.

        Raises:
            ValueError: see ``Subscriber``.
        """
        return self._add(
            construct_id,
            fifo=True,
            consumer=consumer,
            queue=queue,
            filter_policy=filter_policy,
            filter_policy_with_message_body=filter_policy_with_message_body,
            raw_message_delivery=raw_message_delivery,
            replay_from=replay_from,
            delivery_dead_letter_queue=delivery_dead_letter_queue,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
            batch_size=batch_size,
            max_concurrency=max_concurrency,
            provisioned_pollers=provisioned_pollers,
            max_message_age=max_message_age,
        )

    def add_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction,
        queue: sqs.IQueue | None = None,
        filter_policy: Mapping[str, sns.SubscriptionFilter] | None = None,
        filter_policy_with_message_body: Mapping[str, sns.FilterOrPolicy] | None = None,
        raw_message_delivery: bool = True,
        replay_from: datetime | None = None,
        delivery_dead_letter_queue: sqs.IQueue | None = None,
        visibility_timeout: Duration | None = None,
        retention_period: Duration | None = None,
        max_receive_count: int | None = None,
        batch_size: int = 10,
        max_batching_window: Duration | None = None,
        max_concurrency: int | None = None,
        provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None,
        max_message_age: Duration | None = None,
    ) -> Subscriber:
        """Add a subscriber that gets the events in large batches, in no order, at least once.

        Args: as for ``Subscriber``. The message group does not reach a standard queue.

        Raises:
            ValueError: see ``Subscriber``.
        """
        return self._add(
            construct_id,
            fifo=False,
            consumer=consumer,
            queue=queue,
            filter_policy=filter_policy,
            filter_policy_with_message_body=filter_policy_with_message_body,
            raw_message_delivery=raw_message_delivery,
            replay_from=replay_from,
            delivery_dead_letter_queue=delivery_dead_letter_queue,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            max_concurrency=max_concurrency,
            provisioned_pollers=provisioned_pollers,
            max_message_age=max_message_age,
        )

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

    def _add(self, construct_id: str, **settings: Any) -> Subscriber:
        subscriber = Subscriber(
            self,
            construct_id,
            source=self._source,
            encryption_key=self._encryption_key,
            alarm_actions=self._alarm_actions,
            **settings,
        )
        self.subscribers.append(subscriber)
        return subscriber

    def _alarm_on_topic(self, metric: str, periods: int, description: str) -> cloudwatch.Alarm:
        return alarm_when_above(
            self,
            f"{metric.replace('-', '')}Alarm",
            metric=self.topic.metric(metric, period=Duration.minutes(1), statistic="Sum"),
            evaluation_periods=periods,
            description=description,
            actions=self._alarm_actions,
        )


# Metric, minutes in a row, what to do (CloudWatch user guide, "Recommended alarms", Amazon SNS).
TOPIC_ALARMS = (
    (
        "NumberOfNotificationsFailed",
        5,
        "Deliveries have failed for five minutes. Look at the policies of the subscribed queues "
        "and of their keys; SNS keeps trying for 23 days when SQS is at fault, and not at all when "
        "the queue or its policy is.",
    ),
    (
        "NumberOfNotificationsRedrivenToDlq",
        1,
        "SNS has moved events to a subscriber's delivery dead-letter queue. That queue's own alarm "
        "says which subscriber, and what to do.",
    ),
    (
        "NumberOfNotificationsFailedToRedriveToDlq",
        1,
        "Events are LOST: they could be delivered neither to a subscriber nor to its delivery "
        "dead-letter queue. Mend that queue's or its key's policy, then replay the archive or "
        "publish the events again.",
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidAttributes",
        1,
        "A publisher sends attributes that a filter policy cannot read, so a subscriber does not "
        "get the events. Mend the publisher (String.Array must be JSON), then publish them again.",
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidMessageBody",
        1,
        "A publisher sends bodies that are not JSON, so a subscriber that filters by the body does "
        "not get the events. Mend the publisher, then publish them again.",
    ),
)


def _new_topic(
    scope: Construct,
    *,
    content_based_deduplication: bool | None,
    fifo_throughput_scope: sns.FifoThroughputScope,
    message_retention_period_in_days: int | None,
    encryption_key: kms.IKey | None,
) -> delivery.Source:
    name = name_known_before_creation(scope, ".fifo")
    topic = delivery.FifoTopic(
        scope,
        "Topic",
        fifo=True,
        topic_name=name,
        content_based_deduplication=content_based_deduplication,
        fifo_throughput_scope=fifo_throughput_scope,
        message_retention_period_in_days=message_retention_period_in_days,
        master_key=encryption_key,
        enforce_ssl=True,
    )
    # The ARN is made of the name: the policy of the topic's key cannot refer to the topic itself.
    arn, pattern = (
        Stack.of(scope).format_arn(service="sns", resource=resource)
        for resource in (name, pattern_of_name(scope, ".fifo"))
    )
    source = delivery.Source(topic, arn, pattern)
    if encryption_key:
        source.allow_key(encryption_key)
        return source
    resource = topic.node.default_child
    if not isinstance(resource, sns.CfnTopic):  # pragma: no cover - a topic has this child
        raise TypeError(f"{topic.node.path} has no CfnTopic")
    resource.kms_master_key_id = AWS_MANAGED_KEY
    return source
