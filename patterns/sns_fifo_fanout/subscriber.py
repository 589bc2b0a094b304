"""One subscriber: SNS FIFO → SQS → Lambda, with a dead-letter queue and an alarm on each leg."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ..foundation import rules
from ..foundation.alarms import (
    alarm_on_dead_letters,
    alarm_on_oldest_message,
    alarm_when_above,
)
from ..foundation.consumers import consume
from ..foundation.findings import acknowledge
from ..foundation.queues import QueueWithDeadLetterQueue
from . import delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_


class Subscriber(Construct):
    """One subscriber of an ``SnsFifoFanout``, made by its ``add_fifo_queue()`` or ``add_queue()``.

    Args:
        source: The topic.
        fifo: Whether it gets the events in order, in a FIFO queue.
        consumer: Function or alias that processes the messages. You own its code; it must report
            partial batch failures.
        queue: Your own queue. Default: a new one with a dead-letter queue.
        filter_policy: Which events it gets, by message attributes. Default: all.
        filter_policy_with_message_body: Which events it gets, by their JSON body. An event whose
            body is not JSON is then dropped, which raises an alarm. Default: all.
        raw_message_delivery: The queue gets body and attributes as they were published (at most
            10 attributes, or the event is not delivered). Default: True; False wraps both in
            SNS's JSON envelope.
        replay_from: Replays the topic's archive from this point in time, which has a time zone,
            when it is deployed; change it to replay again. Default: no replay.
        delivery_dead_letter_queue: Your own FIFO queue for what SNS cannot deliver, such as when
            the queue's policy was changed. Default: a new one that keeps it for 14 days.
        visibility_timeout: Hidden time after a receive, in whole seconds. Default: 6 x the
            consumer's timeout plus ``max_batching_window`` (AWS Lambda developer guide, "Using
            Lambda with Amazon SQS").
        retention_period: How long a message waits, 60 s to 14 days. Default: 4 days. The
            dead-letter queue keeps its own for 14 days.
        max_receive_count: Receives before a message is dead-lettered. Default: 5.
        encryption_key: Customer key of the new queues. Default: SQS-managed encryption.
        batch_size: Messages a call. Default: 10.
        max_batching_window: Longest wait for a full batch, on a standard queue. Default: none.
        max_concurrency: Concurrent calls of ``consumer``, 2 to 1,000. Default: its reserved
            concurrency, else 10.
        provisioned_pollers: Event pollers kept ready, in place of ``max_concurrency``.
        max_message_age: Age of the oldest message that raises an alarm. Default: 15 minutes, or
            half of the queue's retention period if that is shorter.
        alarm_actions: What every alarm does.

    Attributes:
        queue: Where the events wait; see also ``dead_letter_queue``.
        delivery_dead_letter_queue: What SNS could not deliver into ``queue``.
        subscription: Topic to queue.
        event_source_mapping: Queue to consumer.
        alarms: The subscriber's alarms.

    Raises:
        ValueError: a queue of your own together with a setting that only a new one can take, or a
            configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: delivery.Source,
        fifo: bool,
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
        encryption_key: kms.IKey | None = None,
        batch_size: int = 10,
        max_batching_window: Duration | None = None,
        max_concurrency: int | None = None,
        provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None,
        max_message_age: Duration | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        rules.refuse_settings_beside(
            "queue",
            queue,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
        )
        _check_filters(filter_policy, filter_policy_with_message_body)
        delivery.check_replay(source.topic, replay_from)
        required_visibility = rules.required_visibility(consumer, max_batching_window)

        self.queue: sqs.IQueue
        if queue:
            delivery.check_queue(queue, fifo=fifo)
            rules.check_own_queue(queue, required_visibility)
            self.queue, self._dead_letter_queue = queue, rules.dead_letter_queue_of(queue)
        else:
            new = QueueWithDeadLetterQueue(
                self,
                "Queue",
                visibility_timeout=rules.visibility_timeout(
                    visibility_timeout, required_visibility
                ),
                fifo=fifo,
                retention_period=retention_period,
                max_receive_count=max_receive_count,
                encryption_key=encryption_key,
            )
            self.queue, self._dead_letter_queue = new.queue, new.dead_letter_queue
        if delivery_dead_letter_queue:
            delivery.check_delivery_dead_letter_queue(delivery_dead_letter_queue)
        delivery.check_apart(self.queue, delivery_dead_letter_queue)
        self.delivery_dead_letter_queue = delivery_dead_letter_queue or _new_delivery_queue(
            self, encryption_key
        )
        self.subscription = sns.Subscription(
            self,
            "Subscription",
            topic=source.topic,
            protocol=sns.SubscriptionProtocol.SQS,
            endpoint=self.queue.queue_arn,
            raw_message_delivery=raw_message_delivery,
            filter_policy=filter_policy,
            filter_policy_with_message_body=filter_policy_with_message_body,
        )
        _keep_undelivered(self.subscription, self.delivery_dead_letter_queue, replay_from)
        if replay_from:
            source.allow_replay()
        # An event that comes before its permission is not delivered.
        self.subscription.node.add_dependency(
            *source.allow_queue(self.queue),
            *source.allow_queue(self.delivery_dead_letter_queue),
        )
        self.event_source_mapping = consume(
            self,
            "EventSource",
            queue=self.queue,
            consumer=consumer,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            max_concurrency=max_concurrency,
            provisioned_pollers=provisioned_pollers,
        )
        self.alarms = self._make_alarms(max_message_age, alarm_actions)

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """What the consumer could not process.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        if self._dead_letter_queue is None:
            raise ValueError(
                "The queue is imported, so its dead-letter queue is not known here. "
                "Import that queue too, and use it directly."
            )
        return self._dead_letter_queue

    def metric_approximate_age_of_oldest_message(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest message in the queue, in seconds. ``options``: of the metric."""
        return self.queue.metric_approximate_age_of_oldest_message(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages that the consumer could not process. ``options``: of the metric.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)

    def metric_undelivered(self, **options: Any) -> cloudwatch.Metric:
        """Messages that SNS could not deliver. ``options``: of the metric."""
        return self.delivery_dead_letter_queue.metric_approximate_number_of_messages_visible(
            **options
        )

    def _make_alarms(
        self, max_age: Duration | None, actions: Sequence[cloudwatch.IAlarmAction]
    ) -> list[cloudwatch.Alarm]:
        alarms = [
            alarm_on_oldest_message(
                self, "OldestMessageAlarm", queue=self.queue, max_age=max_age, actions=actions
            ),
            alarm_when_above(
                self,
                "UndeliveredAlarm",
                metric=self.metric_undelivered(period=Duration.minutes(1), statistic="Maximum"),
                description=(
                    "SNS could not deliver events to this subscriber: they are in its delivery "
                    "dead-letter queue. Read the ErrorCode attribute of one, mend the queue's or "
                    "the key's policy, then send them on to the queue, or replay the archive. "
                    "SQS's own redrive does not work for this queue."
                ),
                actions=actions,
            ),
        ]
        if self._dead_letter_queue:
            alarms.append(
                alarm_on_dead_letters(
                    self,
                    "DeadLetterAlarm",
                    dead_letter_queue=self._dead_letter_queue,
                    actions=actions,
                )
            )
        return alarms


def _check_filters(by_attributes: object | None, by_body: object | None) -> None:
    """Refuse two filters on one subscription.

    Raises:
        ValueError: both are given (Amazon SNS developer guide, "Amazon SNS subscription filter
            policy scope": one scope a subscription).
    """
    if by_attributes is not None and by_body is not None:
        raise ValueError(
            "filter_policy and filter_policy_with_message_body were both given: a subscription "
            "filters by one of them. Leave one out."
        )


def _new_delivery_queue(scope: Construct, encryption_key: kms.IKey | None) -> sqs.Queue:
    queue = sqs.Queue(
        scope,
        "DeliveryDeadLetterQueue",
        fifo=True,  # whatever the subscribed queue is: see delivery.py
        retention_period=rules.MAX_RETENTION,
        encryption=(sqs.QueueEncryption.KMS if encryption_key else sqs.QueueEncryption.SQS_MANAGED),
        encryption_master_key=encryption_key,
        enforce_ssl=True,
    )
    reason = "It is the subscription's dead-letter queue: its messages wait here for a person."
    acknowledge(queue, "AwsSolutions::AwsSolutions-SQS3", reason)
    acknowledge(queue, "Serverless::Serverless-SQSRedrivePolicy", reason)
    return queue


def _keep_undelivered(
    subscription: sns.Subscription, queue: sqs.IQueue, replay_from: datetime | None
) -> None:
    """Set what the L2 construct cannot, or only with a grant that anybody's topic could use."""
    resource = subscription.node.default_child
    if not isinstance(resource, sns.CfnSubscription):  # pragma: no cover - it has this child
        raise TypeError(f"{subscription.node.path} has no CfnSubscription")
    resource.redrive_policy = {"deadLetterTargetArn": queue.queue_arn}
    if replay_from:
        start = replay_from.astimezone(UTC)
        resource.replay_policy = {
            "PointType": "Timestamp",
            "StartingPoint": f"{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03}Z",
        }
