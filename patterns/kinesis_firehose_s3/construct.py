"""client → Kinesis → Firehose → Lambda → S3;  Firehose ⇢ errors ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream
from constructs import Construct

from ..blocks import firehose
from ..blocks.alarms import Alarms
from ..blocks.buckets import NewBucket, bucket_of
from ..blocks.findings import acknowledge
from ..blocks.firehose import ARRIVED, FAILED_BY_TYPE, Buffering
from ..blocks.streams import NewStream, alarms_of_stream, stream_of
from ..blocks.transforms import Transform, alarms_of_transform, transformed
from .settings import SOURCE_PREFIX, Lake, Table
from .table import LakeTable

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3

__all__ = [
    "Alarms",
    "Buffering",
    "KinesisToFirehoseToS3",
    "Lake",
    "NewBucket",
    "NewStream",
    "Table",
    "Transform",
]

PARTITIONED = CfnDeliveryStream.DynamicPartitioningConfigurationProperty(enabled=True)


class KinesisToFirehoseToS3(Construct):
    """Collect a stream of events, clean them on the way, and store them in S3 to be queried.

    Firehose reads the stream, calls the transform with batches of records, and writes its output
    under the lake's prefix, one folder for each day of arrival. Failed records, and batches that
    still fail after the transform's retries, are stored unmodified under the error prefix and
    raise an alarm; a record that the transform drops is gone. Delivery is at least once and
    unordered: a query has to count each event's id once.

    Firehose takes apart the records that a producer has aggregated (Kinesis Producer Library)
    before it calls the transform. It retries a delivery that S3 rejects until the stream's
    retention period ends (https://docs.aws.amazon.com/firehose/latest/dev/troubleshooting.html).

    Args:
        transform: Function or alias that cleans the records, or a ``Transform`` with its settings.
        stream: Your own stream, or the settings of a new one.
        bucket: Your own bucket, or the settings of a new one.
        lake: Folders, form and buffers of the lake.
        alarms: What the alarms do. ``max_age`` is the age of a record not yet in the lake.
            Default: 15 minutes, or twice the buffering interval if that is longer.

    Attributes:
        stream: The way in.
        delivery_stream: Firehose's delivery stream, with its ``role`` and the ``log_group`` of
            its errors.
        bucket: The lake and the failed records.
        table: The table over the lake, if it has one.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        transform: lambda_.IFunction | Transform,
        stream: kinesis.IStream | NewStream = NewStream(),
        bucket: s3.IBucket | NewBucket = NewBucket(),
        lake: Lake = Lake(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        transform, alarms = Transform.of(transform), alarms.of_pattern(__name__)
        max_age = lake.max_age(alarms)

        self.stream = stream_of(self, "Stream", stream, max_age)
        self.bucket = bucket_of(
            self,
            "Bucket",
            bucket,
            expires=SOURCE_PREFIX,
            warning=f"no alarm goes off when records fail: watch {lake.error_prefix} yourself, for "
            "example with S3 request metrics",
        )
        self.prefix, self.error_prefix = lake.prefix, lake.error_prefix
        table = LakeTable(self, "Lake", lake.table, self.bucket, lake) if lake.table else None
        self._table = table
        self.log_group = firehose.logs_of_firehose(self, "Logs")
        self.role = firehose.role_of_firehose(self, "Role")
        firehose.grant_read(self.role, self.stream)
        processing = transformed(transform, self.role)
        firehose.grant_write(self.role, self.bucket, lake.folders.values())
        if table:
            table.grant_read_to_firehose(self.role)
        self.log_group.grant(self.role, "logs:PutLogEvents")
        role_arn = self.role.role_arn
        where: dict[str, Any] = {
            "role_arn": role_arn,
            "bucket_arn": self.bucket.bucket_arn,
            "error_output_prefix": lake.error_prefix + FAILED_BY_TYPE,
        }
        unmodified = None
        if lake.keep_source:
            log = firehose.log_to(self.log_group, self, "SourceErrors")
            unmodified = firehose.backup(SOURCE_PREFIX + lake.prefix, log, **where)
        keys = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in lake.partition_keys)
        self.delivery_stream = CfnDeliveryStream(
            self,
            "Delivery",
            delivery_stream_type="KinesisStreamAsSource",
            kinesis_stream_source_configuration=firehose.Source(
                kinesis_stream_arn=self.stream.stream_arn, role_arn=role_arn
            ),
            extended_s3_destination_configuration=firehose.Destination(
                **where,
                prefix=lake.prefix + keys + ARRIVED,
                s3_backup_mode="Enabled" if unmodified else "Disabled",
                s3_backup_configuration=unmodified,
                processing_configuration=processing,
                data_format_conversion_configuration=table.parquet(role_arn) if table else None,
                # Parquet compresses by itself, and Firehose accepts no other compression with it.
                compression_format="UNCOMPRESSED" if table else "GZIP",
                file_extension=None if table else ".jsonl.gz",
                buffering_hints=lake.buffering.hints(),
                dynamic_partitioning_configuration=PARTITIONED if lake.partition_keys else None,
                cloud_watch_logging_options=firehose.log_to(self.log_group, self, "DeliveryErrors"),
            ),
        )
        # Firehose uses its permissions as soon as it is made.
        self.delivery_stream.node.add_dependency(self.role, *([table] if table else []))
        reason = "Firehose does not store the records of a stream: the stream encrypts them."
        acknowledge(self.delivery_stream, "AwsSolutions::AwsSolutions-KDF1", reason)
        self.alarms = [
            *alarms_of_stream(self, self.stream, max_age, alarms),
            *alarms_of_transform(self, transform, alarms),
            *firehose.alarms_of_delivery(
                self, self.delivery_stream.ref, self.bucket, lake.error_prefix, max_age, alarms
            ),
        ]

    @property
    def table(self) -> LakeTable:
        """The table over the lake.

        Raises:
            ValueError: the lake has none.
        """
        if self._table is None:
            raise ValueError(
                "There is no table: the lake is JSON lines. Give the lake a table to have Parquet "
                "that Athena can query."
            )
        return self._table

    def grant_write(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` put records into the stream."""
        return self.stream.grant_write(grantee)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the lake, and its table if there is one."""
        grant = self.bucket.grant_read(grantee, f"{self.prefix}*")
        return grant.combine(self._table.grant_read(grantee)) if self._table else grant

    def metric_data_freshness(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest record not yet in the lake, in seconds. ``options``: of the metric."""
        return firehose.data_freshness(self.delivery_stream.ref, **options)

    def metric_iterator_age(self, **options: Any) -> cloudwatch.Metric:
        """How far the stream is read behind, in milliseconds. ``options``: of the metric."""
        return self.stream.metric_get_records_iterator_age_milliseconds(**options)
