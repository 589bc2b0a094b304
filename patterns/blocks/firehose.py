"""Firehose → S3: buffers, the role, logs and folders of a delivery, and its alarms.

The properties are CloudFormation's own: the L2 of aws-cdk-lib 2.275 takes no transform batch
between 0.2 and 1 MiB, lets Firehose delete what it has written, and adds a mapping that nothing
uses to the stack.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, Duration, Names, RemovalPolicy, Size, SizeRoundingBehavior
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream

from ..checks import firehose as checks
from ..checks import reject
from ..limits import FIREHOSE_MAX_BUFFER, FIREHOSE_MIN_LARGE_BUFFER, S3_METRICS_ID
from . import keys
from .alarms import MINUTE, Alarms, Runbook
from .findings import acknowledge_wildcards
from .places import elsewhere
from .values import Path, expect, in_seconds, is_token, number, seconds, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_kms as kms
    from constructs import Construct

ACCOUNT = Aws.ACCOUNT_ID  # asked for once: each use is a call into the CDK's kernel
# Larger objects are quicker to query; Firehose's own default of 5 MiB makes many small ones.
BUFFER_SIZE, BUFFER_INTERVAL = Size.mebibytes(FIREHOSE_MAX_BUFFER), seconds(300)
DAY = "day"
# https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
ARRIVED = f"{DAY}=!{{timestamp:yyyy-MM-dd}}/"
FAILED_BY_TYPE = "!{firehose:error-output-type}/" + ARRIVED
Source = CfnDeliveryStream.KinesisStreamSourceConfigurationProperty
Destination = CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty
Backup = CfnDeliveryStream.S3DestinationConfigurationProperty
Log = CfnDeliveryStream.CloudWatchLoggingOptionsProperty


@functools.cache
def in_mebibytes(size: Size) -> float | None:
    """Return a size in MiB; None for a token."""
    try:
        kibibytes = number(size.to_kibibytes(rounding=SizeRoundingBehavior.NONE))
    except RuntimeError:  # a token in another unit
        return None
    return None if kibibytes is None else kibibytes / 1024


def known_size(argument: str, size: Size) -> float | None:
    """Return a size in MiB; None if only deployment knows it.

    Raises:
        ValueError: it is no size, or a token that cannot be given to Firehose in MiB.
    """
    expect(argument, size, Size)
    if (mebibytes := in_mebibytes(size)) is None:
        try:
            size.to_mebibytes()
        except RuntimeError as error:
            raise ValueError(
                f"{argument} is known at deployment only, so it must be made with Size.mebibytes()."
            ) from error
    return mebibytes


@dataclass(frozen=True, kw_only=True)
class Buffering:
    """When Firehose closes an object: at the size or after the interval, whichever comes first.

    Attributes:
        size: Largest object before compression, 1 to 128 whole MiB; at least 64 MiB with format
            conversion or dynamic partitioning. Default: 128 MiB.
        interval: Longest wait for that size, up to 900 s; at least 60 s with dynamic
            partitioning. Default: 5 minutes.

    Raises:
        ValueError: a setting that Firehose rejects.
    """

    size: Size = BUFFER_SIZE
    interval: Duration = BUFFER_INTERVAL

    def __post_init__(self) -> None:
        """Reject a setting that Firehose rejects."""
        expect("interval", self.interval, Duration)
        mebibytes, wait = known_size("size", self.size), in_seconds(self.interval)
        if mebibytes is not None:
            reject(checks.buffer_size("size", mebibytes))
        if wait is not None:
            reject(checks.interval("interval", wait))

    def hints(self) -> CfnDeliveryStream.BufferingHintsProperty:
        """Return the property of a delivery stream."""
        return CfnDeliveryStream.BufferingHintsProperty(
            size_in_m_bs=self.size.to_mebibytes(), interval_in_seconds=self.interval.to_seconds()
        )


@dataclass(frozen=True)
class DirectPut:
    """No stream: senders put their records into Firehose itself. They are encrypted there.

    Firehose keeps a record for 24 hours while it cannot be delivered, and cannot read it again.
    It does not take aggregated records apart, and PutRecordBatch can fail in part.

    Attributes:
        encryption_key: Customer managed key. Default: a key that AWS owns.

    Raises:
        ValueError: a key that encrypts nothing.
    """

    encryption_key: kms.IKey | None = None

    def __post_init__(self) -> None:
        """Reject a key that encrypts nothing."""
        expect("encryption_key", self.encryption_key, "IKey", None)
        keys.check_key("encryption_key", self.encryption_key)

    def encryption(self) -> CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty:
        """Return the property of a delivery stream."""
        of = CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty
        if key := self.encryption_key:
            return of(key_type="CUSTOMER_MANAGED_CMK", key_arn=key.key_arn)
        return of(key_type="AWS_OWNED_CMK")


def role_of_firehose(scope: Construct, construct_id: str) -> iam.Role:
    """Make the role that Firehose assumes, for delivery streams of this account alone."""
    return iam.Role(
        scope,
        construct_id,
        assumed_by=iam.ServicePrincipal(
            "firehose.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        ),
    )


def grant_read(role: iam.Role, stream: kinesis.IStream) -> None:
    """Let Firehose read a stream; no more.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
    """
    reads = ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")
    stream.grant(role, *(f"kinesis:{action}" for action in reads))
    if key := stream.encryption_key:
        key.grant_decrypt(role)


def grant_write(role: iam.Role, bucket: s3.IBucket, folders: Iterable[str]) -> None:
    """Let Firehose write to folders of a bucket, each with / at its end; no more.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
    """
    arn = bucket.bucket_arn
    objects = [f"{arn}/{folder}*" for folder in folders]
    allow(role, [arn], "s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
    allow(role, objects, "s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
    if (elsewhere(role, bucket) or "").startswith("account"):  # so that its owner can read them
        allow(role, objects, "s3:PutObjectAcl")
    if key := bucket.encryption_key:
        key.grant(role, "kms:Decrypt", "kms:GenerateDataKey")
    acknowledge_wildcards(role, "Firehose makes up the names of its objects.", *objects)


def allow(role: iam.Role, resources: list[str], *actions: str) -> None:
    """Add a statement to a role."""
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))


def backup(prefix: str, log: Log, **where: Any) -> Backup:
    """Return the folder in which every record is stored unmodified, before the function sees it."""
    return Backup(
        **where,
        prefix=prefix + ARRIVED,
        compression_format="GZIP",
        buffering_hints=Buffering(size=Size.mebibytes(FIREHOSE_MIN_LARGE_BUFFER)).hints(),
        cloud_watch_logging_options=log,
    )


def logs_of_firehose(scope: Construct, construct_id: str) -> logs.LogGroup:
    """Make the log group for records that Firehose cannot deliver."""
    return logs.LogGroup(
        scope,
        construct_id,
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )


def log_to(log_group: logs.ILogGroup, scope: Construct, construct_id: str) -> Log:
    """Make a log stream, and return the property of a destination that writes to it."""
    log_stream = logs.LogStream(
        scope, construct_id, log_group=log_group, removal_policy=RemovalPolicy.DESTROY
    )
    return Log(
        enabled=True,
        log_group_name=log_group.log_group_name,
        log_stream_name=log_stream.log_stream_name,
    )


DATA_FRESHNESS = Runbook(
    means="Records wait too long for S3. Firehose retries the delivery until its source's "
    "retention period ends; after that they are lost.",
    see="Read Firehose's log group. Most often Firehose may not write to the bucket, use its key, "
    "or read the table.",
    fix="Restore the permission, key, bucket or table that the log names. Firehose catches up by "
    "itself.",
    verify="DeliveryToS3.DataFreshness falls, and new objects appear in the bucket.",
)
ERROR_PREFIX = Runbook(
    means="Records could not be processed or converted. They are stored under the error prefix.",
    see="List the error prefix: the folder says the type of failure. The function's log says why, "
    "by Firehose's record id.",
    fix="For processing-failed, fix the function or the sender, then replay the records. For "
    "format-conversion-failed, make the function's output and the table's columns match.",
    verify="Nothing new appears under the error prefix.",
)


THROTTLED = Runbook(
    means="Firehose throttles the senders. They have to retry, and lose the records that they "
    "stop retrying.",
    see="Compare IncomingBytes, IncomingRecords and IncomingPutRequests with BytesPerSecondLimit, "
    "RecordsPerSecondLimit and PutRequestsPerSecondLimit of the delivery stream.",
    fix="Let the senders put more records in each call, or ask for a higher quota.",
    verify="ThrottledRecords is 0.",
)


def alarms_of_direct_put(
    scope: Construct, delivery_stream_name: str, alarms: Alarms
) -> list[cloudwatch.Alarm]:
    """Go off when Firehose throttles the senders.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/cloudwatch-metrics.html
    """
    metric = _metric(delivery_stream_name, "ThrottledRecords", statistic="Sum")
    return alarms.each(scope, [("ThrottledAlarm", metric, THROTTLED, 0, 5)])


def data_freshness(delivery_stream_name: str, **options: Any) -> cloudwatch.Metric:
    """Return the age of the oldest record that Firehose has not delivered, in seconds."""
    settings = {"statistic": "Maximum"} | options
    return _metric(delivery_stream_name, "DeliveryToS3.DataFreshness", **settings)


def _metric(delivery_stream_name: str, name: str, **options: Any) -> cloudwatch.Metric:
    settings: dict[str, Any] = {"period": seconds(MINUTE)} | options
    return cloudwatch.Metric(
        namespace="AWS/Firehose",
        metric_name=name,
        dimensions_map={"DeliveryStreamName": delivery_stream_name},
        **settings,
    )


def alarms_of_delivery(
    scope: Construct,
    delivery_stream_name: str,
    bucket: s3.IBucket,
    error_prefix: str,
    max_age: Duration,
    alarms: Alarms,
) -> list[cloudwatch.Alarm]:
    """Go off when the bucket falls behind, and when anything is written under the error prefix.

    No metric of Firehose counts the records that a function has failed, so the bucket's request
    metrics do; an imported bucket has no such alarm.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-configurations.html
    """
    freshness = alarms.above(
        scope,
        "DataFreshnessAlarm",
        data_freshness(delivery_stream_name),
        DATA_FRESHNESS,
        threshold=max_age.to_seconds(),
        evaluation_periods=5,
    )
    if not isinstance(bucket, s3.Bucket):
        return [freshness]
    if is_token(error_prefix) and stack_of(bucket) is not stack_of(scope):
        raise ValueError(
            f"error_prefix is known at deployment only, but {Path(bucket)} is in another stack, "
            "and the metric of its alarm would make each stack wait for the other. Write "
            "error_prefix out, or make the bucket in the stack of the construct."
        )
    metrics_id = Names.unique_resource_name(scope, max_length=S3_METRICS_ID)
    bucket.add_metric(id=metrics_id, prefix=error_prefix)
    written = cloudwatch.Metric(
        namespace="AWS/S3",
        metric_name="PutRequests",
        dimensions_map={"BucketName": bucket.bucket_name, "FilterId": metrics_id},
        period=seconds(MINUTE),
        statistic="Sum",
    )
    return [freshness, alarms.above(scope, "ErrorPrefixAlarm", written, ERROR_PREFIX)]
