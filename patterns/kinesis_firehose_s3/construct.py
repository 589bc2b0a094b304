"""client → Kinesis → Firehose → Lambda → S3;  Firehose ⇢ errors ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs import Construct

from ..blocks.alarms import Alarms
from ..blocks.buckets import NewBucket, bucket_of
from ..blocks.deliveries import alarms_of_source, deliver, grant_put, source_of
from ..blocks.firehose import (
    Buffering,
    DirectPut,
    alarms_of_delivery,
    data_freshness,
    logs_of_firehose,
    role_of_firehose,
)
from ..blocks.glue import LakeTable, table_of
from ..blocks.grants import check_policy_of_imported, grantee_here, warn_of_fixed
from ..blocks.lakes import SOURCE_PREFIX, JsonLines, Lake, Raw, Table
from ..blocks.streams import NewStream
from ..blocks.transforms import Transform, alarms_of_transform
from ..blocks.values import Path, expect

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3

__all__ = [
    "Alarms",
    "Buffering",
    "DirectPut",
    "JsonLines",
    "KinesisToFirehoseToS3",
    "Lake",
    "NewBucket",
    "NewStream",
    "Raw",
    "Table",
    "Transform",
]

WATCH = (
    "no alarm goes off when records fail: watch {} yourself, for example with S3 request metrics"
)


class KinesisToFirehoseToS3(Construct):
    """Collect a stream of events, clean them on the way, and store them in S3 to be queried.

    Firehose reads the stream, calls the transform with batches of records, and writes its output
    under the lake's prefix, one folder for each day of arrival. Without a transform it stores the
    records as they come. Failed records, and batches that still fail after the transform's
    retries, are stored unmodified under the error prefix and raise an alarm; a record that the
    transform drops is gone. Delivery is at least once and unordered: a query has to count each
    event's id once.

    Firehose takes apart the records of a stream that a producer has aggregated (Kinesis Producer
    Library). It retries a delivery that S3 rejects until the stream's
    retention period ends (https://docs.aws.amazon.com/firehose/latest/dev/troubleshooting.html).

    Args:
        transform: Function or alias that cleans the records, or a ``Transform`` with its settings.
            Default: none; the records are stored as they come.
        stream: Your own stream of this account and Region, or the settings of a new one; or
            ``DirectPut()`` if senders put their records into Firehose itself.
        bucket: Your own bucket, or the settings of a new one.
        lake: Folders, form and buffers of the lake.
        alarms: What the alarms do. ``max_age`` is the age of a record not yet in the lake.
            Default: 15 minutes, or twice the buffering interval if that is longer.

    Attributes:
        stream: The way in, if there is one.
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
        transform: lambda_.IFunction | Transform | None = None,
        stream: kinesis.IStream | NewStream | DirectPut = NewStream(),
        bucket: s3.IBucket | NewBucket = NewBucket(),
        lake: Lake = Lake(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("lake", lake, Lake)
        expect("alarms", alarms, Alarms)
        transform, alarms = Transform.of(transform), alarms.of_pattern(__name__)
        self._given = transform, stream, bucket
        max_age, watch = lake.max_age(alarms), WATCH.format(lake.error_prefix)
        self.prefix, self.error_prefix = lake.prefix, lake.error_prefix

        self._source = source = source_of(self, "Stream", stream, max_age)
        self.bucket = bucket_of(self, "Bucket", bucket, expires=SOURCE_PREFIX, warning=watch)
        self._table = table_of(self, "Lake", lake, self.bucket)
        self.log_group = logs_of_firehose(self, "Logs")
        self.role = role_of_firehose(self, "Role")
        self.delivery_stream = deliver(
            self,
            "Delivery",
            role=self.role,
            source=source,
            transform=transform,
            bucket=self.bucket,
            lake=lake,
            table=self._table,
            log_group=self.log_group,
        )
        name, errors = self.delivery_stream.ref, lake.error_prefix
        self.alarms = [
            *alarms_of_source(self, source, name, max_age, alarms),
            *alarms_of_transform(self, transform, alarms),
            *alarms_of_delivery(self, name, self.bucket, errors, max_age, alarms),
        ]

    @property
    def stream(self) -> kinesis.IStream:
        """The stream that Firehose reads.

        Raises:
            ValueError: there is none, because senders put their records into Firehose.
        """
        if isinstance(self._source, DirectPut):
            raise ValueError(
                "There is no stream: senders put their records into delivery_stream. Give a "
                "NewStream or your own to have one."
            )
        return self._source

    @property
    def table(self) -> LakeTable:
        """The table over the lake.

        Raises:
            ValueError: the lake has none.
        """
        if self._table is None:
            raise ValueError(
                "There is no table: the lake is files alone. Give the lake a table to have Parquet "
                "or ORC that Athena can query."
            )
        return self._table

    def grant_write(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` put records into the stream, or into Firehose if there is none.

        Raises:
            ValueError: it is of another account and cannot use the stream's key, or has no policy.
        """
        grantee = grantee_here(self, grantee, self._given)
        grant = grant_put(self._source, self.delivery_stream, grantee)
        warn_of_fixed(
            grantee, Path(self, "putting records into ", " and the use of its key, if any")
        )
        return grant

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the lake, and its table if there is one.

        To query it, they also need permissions for Athena, its workgroup and where its results
        are stored; and, where Lake Formation manages the catalog, its permission.

        Raises:
            ValueError: there is a table, and ``grantee`` has no policy for its schema; or only the
                policy of an imported bucket could allow it.
        """
        grantee = grantee_here(self, grantee, self._given)
        check_policy_of_imported(self.bucket, grantee)
        of_table = self._table.grant_read(grantee) if self._table else None
        grant = self.bucket.grant_read(grantee, f"{self.prefix}*")
        warn_of_fixed(grantee, Path(self.bucket, "reading ", " and its table, if any"))
        return grant.combine(of_table) if of_table else grant

    def metric_data_freshness(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest record not yet in the lake, in seconds. ``options``: of the metric."""
        return data_freshness(self.delivery_stream.ref, **options)

    def metric_iterator_age(self, **options: Any) -> cloudwatch.Metric:
        """How far the stream is read behind, in milliseconds. ``options``: of the metric.

        Raises:
            ValueError: there is no stream.
        """
        return self.stream.metric_get_records_iterator_age_milliseconds(**options)
