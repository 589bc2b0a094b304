"""SNS FIFO → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm: one subscriber of a fan-out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..blocks.alarms import Alarms
from ..blocks.queues import NewQueue, SqsToLambda
from ..blocks.subscriptions import Source, Subscription, deliver_to_queue
from . import rules

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from ..blocks.consumers import Consumer


class Subscriber(SqsToLambda):
    """One subscriber of an ``SnsFifoFanout``, made by its ``add_fifo_queue()`` or ``add_queue()``.

    Args:
        source: The topic.
        fifo: Whether it gets the events in order, in a FIFO queue.
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
        fifo: bool,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        encryption_key: kms.IKey | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        rules.check_queue(queue, fifo=fifo)
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
