"""client → Kinesis → Firehose → Lambda → S3;  Firehose ⇢ errors ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ..foundation import keys, rules
from ..foundation.findings import acknowledge, resource_in_findings
from . import alarms, delivery, limits
from .table import DAY, LakeTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_

__all__ = ["KinesisToFirehoseToS3"]

# A delivery that fails is tried again until the stream forgets: a long weekend and more.
DEFAULT_RETENTION = Duration.days(7)
DEFAULT_MAX_DATA_AGE = Duration.minutes(15)
SOURCE_PREFIX = "source/"
# Larger objects are quicker to query; Firehose's own default of 5 MiB makes many small ones.
DEFAULT_BUFFER = Size.mebibytes(limits.MAX_BUFFER_MIB)
DEFAULT_INTERVAL = Duration.minutes(5)
# Grows to 1.4 MB in base64; leaves the function room to add to every record.
DEFAULT_TRANSFORM_BATCH = Size.mebibytes(1)
DEFAULT_TRANSFORM_INTERVAL = Duration.minutes(1)


class KinesisToFirehoseToS3(Construct):
    """Collect a stream of events, clean them on the way, and keep them in S3 to be queried.

    Firehose reads the stream, calls ``transform`` with batches of records, and writes what it
    returns below ``prefix``, one folder a day of arrival. What it fails, and what a failing
    function does not process after ``transform_retries``, is kept as it came below
    ``error_prefix`` and raises an alarm; what it drops is gone. Delivery is at least once and
    unordered: a query that counts has to count each event's id once.

    Firehose takes records apart that a producer has aggregated (Kinesis Producer Library), before
    it calls ``transform``, and retries what S3 does not take until the stream's retention period
    ends (Amazon Data Firehose developer guide, "Troubleshoot errors").

    Args:
        transform: Function or alias that answers each record with Ok, Dropped or
            ProcessingFailed. You own its code. At most 5 minutes' timeout.
        stream: Your own stream. Default: a new one.
        shard_count: Shards of the new stream, each 1 MiB/s and 1,000 records/s. Default: on
            demand, which scales by itself.
        retention_period: How long the new stream keeps records for a delivery that fails, 24
            hours to 365 days. Default: 7 days.
        bucket: Your own bucket. Default: a new one that takes TLS only and is not public.
        lifecycle_rules: Of the new bucket. Default: objects move to Intelligent-Tiering after 30
            days, source records expire after 30 days, incomplete uploads end after 7.
        encryption_key: Customer key of what is new. Default: the AWS managed key for the stream,
            S3-managed encryption for the bucket.
        removal_policy: What becomes of a new stream and bucket when the stack is deleted; DESTROY
            empties the bucket too. Default: RETAIN.
        prefix: Folder of the lake. Default: ``data/``.
        error_prefix: Folder of what failed, by type of failure and day. Default: ``errors/``.
        columns: Glue type of each column, such as ``{"id": "string", "at": "timestamp"}``: the
            lake is Parquet, with a table that Athena can query. Default: no table, the lake is
            gzip-compressed JSON lines.
        database_name: Your own Glue database for the table. Default: a new one.
        partition_keys: Dynamic partitioning: names of the keys that ``transform`` returns for
            each record; each becomes a folder above the day's. Default: by day alone.
        back_up_source: Also keep every record as it came, below ``source/``. Default: no.
        buffering_size: Largest object, in whole MiB: 1 to 128, at least 64 with ``columns`` or
            ``partition_keys``. Default: 128 MiB.
        buffering_interval: Longest wait for that size, up to 900 s; at least 60 s with
            ``partition_keys``. Default: 5 minutes.
        transform_buffering_size: Largest batch for ``transform``, 0.2 to 3 MiB. Default: 1 MiB.
        transform_buffering_interval: Longest wait for that size, up to 900 s. Default: 1 minute.
        transform_retries: Further tries of a batch that the function could not be called for.
            Default: 3.
        max_data_age: Age of a record not yet in the lake that raises an alarm. Default: 15
            minutes, or twice ``buffering_interval`` when that is longer.
        alarm_actions: What every alarm does, such as publish to a topic. Default: nothing.

    Attributes:
        stream: The way in.
        delivery_stream: Firehose's delivery stream; ``role`` is what it may do, ``log_group``
            where it says what failed.
        bucket: The lake and what failed.
        table: The table over the lake, with ``columns``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a resource of your own together with a setting that only a new one can
            take, or a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        transform: lambda_.IFunction,
        stream: kinesis.IStream | None = None,
        shard_count: int | None = None,
        retention_period: Duration | None = None,
        bucket: s3.IBucket | None = None,
        lifecycle_rules: Sequence[s3.LifecycleRule] | None = None,
        encryption_key: kms.IKey | None = None,
        removal_policy: RemovalPolicy | None = None,
        prefix: str = "data/",
        error_prefix: str = "errors/",
        columns: Mapping[str, str] | None = None,
        database_name: str | None = None,
        partition_keys: Sequence[str] = (),
        back_up_source: bool = False,
        buffering_size: Size = DEFAULT_BUFFER,
        buffering_interval: Duration = DEFAULT_INTERVAL,
        transform_buffering_size: Size = DEFAULT_TRANSFORM_BATCH,
        transform_buffering_interval: Duration = DEFAULT_TRANSFORM_INTERVAL,
        transform_retries: int = 3,
        max_data_age: Duration | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        rules.refuse_settings_beside(
            "stream", stream, shard_count=shard_count, retention_period=retention_period
        )
        rules.refuse_settings_beside("bucket", bucket, lifecycle_rules=lifecycle_rules)
        if stream and bucket:
            rules.refuse_settings_beside(
                "stream and bucket",
                bucket,
                encryption_key=encryption_key,
                removal_policy=removal_policy,
            )
        if columns is None and database_name is not None:
            raise ValueError(
                f"database_name is {database_name!r}, but without columns there is no table to "
                "put into it. Give columns, or leave database_name out."
            )
        source_prefix = SOURCE_PREFIX + prefix
        prefixes = {"prefix": prefix, "error_prefix": error_prefix}
        if back_up_source:
            prefixes["source_prefix"] = source_prefix
        limits.check_prefixes(prefixes)
        limits.check_partition_keys(partition_keys, reserved=DAY)
        if columns is not None:
            limits.check_columns(columns, (*partition_keys, DAY))
        limits.check_transform(transform)
        limits.check_transform_batch(
            transform_buffering_size, transform_buffering_interval, transform_retries
        )
        limits.check_buffer(
            buffering_size,
            buffering_interval,
            converts=columns is not None,
            partitions=bool(partition_keys),
        )
        max_age = max_data_age or _default_max_data_age(buffering_interval)
        limits.check_max_data_age(max_age, buffering_interval)
        keys.check_key("encryption_key", encryption_key)
        if stream:
            limits.check_own_stream(stream, max_age)
        else:
            limits.check_retention(retention_period or DEFAULT_RETENTION, max_age)
        if bucket:
            limits.check_own_bucket(bucket, error_prefix)

        self.stream = stream or _new_stream(
            self, shard_count, retention_period or DEFAULT_RETENTION, encryption_key, removal_policy
        )
        self.bucket = bucket or _new_bucket(self, lifecycle_rules, encryption_key, removal_policy)
        self.prefix, self.error_prefix = prefix, error_prefix
        self._table = (
            LakeTable(
                self,
                "Lake",
                bucket=self.bucket,
                prefix=prefix,
                columns=columns,
                partition_keys=partition_keys,
                database_name=database_name,
            )
            if columns
            else None
        )
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.role = delivery.role_of_firehose(self)
        delivery.grant_delivery(
            self.role,
            stream=self.stream,
            transform=transform,
            bucket=self.bucket,
            prefixes=list(prefixes.values()),
            table=self._table,
            log_group=self.log_group,
        )
        self.delivery_stream = firehose.CfnDeliveryStream(
            self,
            "Delivery",
            delivery_stream_type="KinesisStreamAsSource",
            kinesis_stream_source_configuration=(
                firehose.CfnDeliveryStream.KinesisStreamSourceConfigurationProperty(
                    kinesis_stream_arn=self.stream.stream_arn, role_arn=self.role.role_arn
                )
            ),
            extended_s3_destination_configuration=delivery.Destination(
                bucket_arn=self.bucket.bucket_arn,
                role_arn=self.role.role_arn,
                processing_configuration=delivery.transform_by(
                    transform,
                    self.role,
                    size=transform_buffering_size,
                    interval=transform_buffering_interval,
                    retries=transform_retries,
                ),
                data_format_conversion_configuration=(
                    delivery.as_parquet(self._table, self.role) if self._table else None
                ),
                # Parquet compresses by itself, and Firehose takes no other compression with it.
                compression_format="UNCOMPRESSED" if self._table else "GZIP",
                file_extension=None if self._table else ".jsonl.gz",
                dynamic_partitioning_configuration=(
                    firehose.CfnDeliveryStream.DynamicPartitioningConfigurationProperty(
                        enabled=True
                    )
                    if partition_keys
                    else None
                ),
                prefix=delivery.lake_prefix(prefix, partition_keys),
                error_output_prefix=error_prefix + delivery.FAILED_BY_TYPE,
                buffering_hints=firehose.CfnDeliveryStream.BufferingHintsProperty(
                    size_in_m_bs=buffering_size.to_mebibytes(),
                    interval_in_seconds=buffering_interval.to_seconds(),
                ),
                s3_backup_mode="Enabled" if back_up_source else "Disabled",
                s3_backup_configuration=(
                    delivery.source_backup(
                        self.bucket,
                        self.role,
                        source_prefix,
                        error_prefix,
                        self._logging("SourceErrors"),
                    )
                    if back_up_source
                    else None
                ),
                cloud_watch_logging_options=self._logging("DeliveryErrors"),
            ),
        )
        # Firehose tries its rights when it is made.
        self.delivery_stream.node.add_dependency(self.role)
        if self._table:
            self.delivery_stream.node.add_dependency(self._table)
        self._acknowledge_findings(prefixes.values(), transform)
        failed = alarms.error_objects(self, self.bucket, error_prefix)
        self.alarms = [
            *alarms.alarm_on_stream(self, self.stream, max_age, alarm_actions),
            *alarms.alarm_on_transform(self, transform, alarm_actions),
            *alarms.alarm_on_delivery(
                self,
                freshness=self.metric_data_freshness(),
                failed=failed,
                max_data_age=max_age,
                actions=alarm_actions,
            ),
        ]

    @property
    def table(self) -> LakeTable:
        """The table over the lake.

        Raises:
            ValueError: there is none without ``columns``.
        """
        if self._table is None:
            raise ValueError(
                "There is no table: the lake is JSON lines. Give columns to have Parquet with a "
                "table that Athena can query."
            )
        return self._table

    def grant_write(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` put records into the stream."""
        return self.stream.grant_write(grantee)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the lake, and its table if there is one."""
        grant = self.bucket.grant_read(grantee, f"{self.prefix}*")
        if self._table:
            return grant.combine(self._table.grant_read(grantee))
        return grant

    def metric_data_freshness(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest record not yet in the lake, in seconds. ``options``: of the metric."""
        return alarms.data_freshness(self.delivery_stream.ref, **options)

    def metric_iterator_age(self, **options: Any) -> cloudwatch.Metric:
        """How far the stream is read behind, in milliseconds. ``options``: of the metric."""
        return self.stream.metric_get_records_iterator_age_milliseconds(**options)

    def _logging(
        self, construct_id: str
    ) -> firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty:
        log_stream = logs.LogStream(
            self,
            construct_id,
            log_group=self.log_group,
            removal_policy=RemovalPolicy.DESTROY,
        )
        return firehose.CfnDeliveryStream.CloudWatchLoggingOptionsProperty(
            enabled=True,
            log_group_name=self.log_group.log_group_name,
            log_stream_name=log_stream.log_stream_name,
        )

    def _acknowledge_findings(
        self, prefixes: Collection[str], transform: lambda_.IFunction
    ) -> None:
        acknowledge(
            self.delivery_stream,
            "AwsSolutions::AwsSolutions-KDF1",
            "Firehose takes no encryption of its own beside a stream as its source: the stream's "
            "counts.",
        )
        folders = {f"{self.bucket.bucket_arn}/{prefix}*" for prefix in prefixes}
        for resource in (f"{transform.function_arn}:*", *sorted(folders)):
            found = resource_in_findings(self, resource)
            acknowledge(
                self.role,
                f"AwsSolutions::AwsSolutions-IAM5[Resource::{found}]",
                "Firehose makes up the names of its objects, and calls whichever version of the "
                "function it is told.",
            )


def _default_max_data_age(interval: Duration) -> Duration:
    if interval.is_unresolved():
        return DEFAULT_MAX_DATA_AGE
    return Duration.seconds(max(DEFAULT_MAX_DATA_AGE.to_seconds(), 2 * interval.to_seconds()))


def _new_stream(
    scope: Construct,
    shard_count: int | None,
    retention_period: Duration,
    key: kms.IKey | None,
    removal_policy: RemovalPolicy | None,
) -> kinesis.Stream:
    limits.check_stream(shard_count, retention_period)
    mode = kinesis.StreamMode.ON_DEMAND if shard_count is None else kinesis.StreamMode.PROVISIONED
    return kinesis.Stream(
        scope,
        "Stream",
        stream_mode=mode,
        shard_count=shard_count,
        retention_period=retention_period,
        encryption=kinesis.StreamEncryption.KMS if key else kinesis.StreamEncryption.MANAGED,
        encryption_key=key,
        removal_policy=removal_policy or RemovalPolicy.RETAIN,
    )


def _new_bucket(
    scope: Construct,
    lifecycle_rules: Sequence[s3.LifecycleRule] | None,
    key: kms.IKey | None,
    removal_policy: RemovalPolicy | None,
) -> s3.Bucket:
    bucket = s3.Bucket(
        scope,
        "Bucket",
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,
        lifecycle_rules=_default_lifecycle() if lifecycle_rules is None else lifecycle_rules,
        removal_policy=removal_policy or RemovalPolicy.RETAIN,
        auto_delete_objects=removal_policy == RemovalPolicy.DESTROY or None,
    )
    acknowledge(
        bucket,
        "AwsSolutions::AwsSolutions-S1",
        "Who reads the lake is the account's to record, in CloudTrail data events.",
    )
    return bucket


def _default_lifecycle() -> list[s3.LifecycleRule]:
    return [
        s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(7)),
        s3.LifecycleRule(
            transitions=[
                s3.Transition(
                    storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                    transition_after=Duration.days(30),
                )
            ]
        ),
        s3.LifecycleRule(prefix=SOURCE_PREFIX, expiration=Duration.days(30)),
    ]
