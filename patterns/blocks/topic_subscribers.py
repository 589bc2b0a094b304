"""SNS → function, Firehose → S3, or HTTPS endpoint;  SNS ⇢ DLQ ⇢ alarm: subscribers of a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs import Construct

from . import subscribers
from .buckets import NewBucket, bucket_of
from .deliveries import alarms_of_source
from .deliveries import deliver as deliver_to_s3
from .failures import keep_failures
from .firehose import (
    DirectPut,
    alarms_of_delivery,
    data_freshness,
    logs_of_firehose,
    role_of_firehose,
)
from .lakes import SOURCE_PREFIX, Lake
from .subscriptions import Delivered
from .values import expect

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs
    from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream

    from .alarms import Alarms
    from .sources import Source
    from .subscriptions import Subscription

WATCH = "no alarm goes off when records fail: watch {} yourself, for example with request metrics"


class FunctionSubscriber(Construct, Delivered):
    """A function that Lambda runs once for each event, and up to two times more if it fails.

    Attributes:
        function: The function, or its alias.
        failure_queue: Lambda's records of events that the function failed; None if the app keeps
            them elsewhere.
        subscription: Topic to function.
        delivery_dead_letter_queue: What Lambda did not accept.
        alarms: The subscriber's alarms.
    """

    function: lambda_.IFunction
    failure_queue: sqs.IQueue | None

    def subscribe_to(
        self, source: Source, function: lambda_.IFunction, settings: Subscription, alarms: Alarms
    ) -> None:
        """Invoke a function for the events of a topic, and keep what it fails."""
        self.function = function
        delivery = subscribers.deliver_to_function(self, source, function, settings, alarms=alarms)
        key = source.encryption_key
        self.failure_queue, on_failures = keep_failures(self, function, key, alarms)
        self.alarms: list[cloudwatch.Alarm] = [*self._delivered(delivery), *on_failures]


class ArchiveSubscriber(Construct, Delivered):
    """A lake in S3 to which Firehose writes every event, in objects by the day of its arrival.

    Attributes:
        bucket: The lake and the failed records.
        delivery_stream: Firehose's delivery stream, with its ``role`` and the ``log_group`` of its
            errors.
        prefix: Folder of the events.
        subscription: Topic to delivery stream.
        delivery_dead_letter_queue: What SNS could not put into the delivery stream.
        alarms: The subscriber's alarms.
    """

    bucket: s3.IBucket
    delivery_stream: CfnDeliveryStream

    def subscribe_to(
        self,
        source: Source,
        bucket: s3.IBucket | NewBucket,
        lake: Lake,
        settings: Subscription,
        alarms: Alarms,
    ) -> None:
        """Archive the events of a topic."""
        expect("lake", lake, Lake)
        max_age, errors = lake.max_age(alarms), lake.error_prefix
        if lake.table or lake.partition_keys:
            raise ValueError(
                "lake has a table or partition_keys, but an archive stores events as they come. "
                "Leave them out, or let a KinesisToFirehoseToS3 write the lake."
            )
        self.prefix, watch = lake.prefix, WATCH.format(errors)
        self.bucket = bucket_of(self, "Bucket", bucket, expires=SOURCE_PREFIX, warning=watch)
        self.log_group, self.role = logs_of_firehose(self, "Logs"), role_of_firehose(self, "Role")
        put = DirectPut(encryption_key=source.encryption_key)
        self.delivery_stream = deliver_to_s3(
            self,
            "Delivery",
            role=self.role,
            source=put,
            transform=None,
            bucket=self.bucket,
            lake=lake,
            table=None,
            log_group=self.log_group,
        )
        stream, name = self.delivery_stream, self.delivery_stream.ref
        delivery = subscribers.deliver_to_firehose(self, source, stream, settings, alarms=alarms)
        self.alarms: list[cloudwatch.Alarm] = [
            *self._delivered(delivery),
            *alarms_of_source(self, put, name, max_age, alarms),
            *alarms_of_delivery(self, name, self.bucket, errors, max_age, alarms),
        ]

    def metric_data_freshness(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest event not yet in the bucket, in seconds. ``options``: of the metric."""
        return data_freshness(self.delivery_stream.ref, **options)


class EndpointSubscriber(Construct, Delivered):
    """An HTTPS endpoint, which has to confirm the subscription before it gets any event.

    Attributes:
        subscription: Topic to endpoint.
        delivery_dead_letter_queue: What the endpoint did not accept.
        alarms: The subscriber's alarms.
    """

    def subscribe_to(
        self,
        source: Source,
        url: str,
        delivery_policy: sns.DeliveryPolicy,
        settings: Subscription,
        alarms: Alarms,
    ) -> None:
        """Post the events of a topic to an endpoint."""
        delivery = subscribers.deliver_to_endpoint(
            self, source, url, settings, delivery_policy=delivery_policy, alarms=alarms
        )
        self.alarms: list[cloudwatch.Alarm] = self._delivered(delivery)
