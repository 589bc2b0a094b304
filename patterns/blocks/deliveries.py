"""Firehose → S3: a delivery stream that writes a lake, with what it may do and needs."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from aws_cdk import aws_iam as iam
from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream

from ..checks import firehose as checks
from ..checks import reject
from ..limits import FIREHOSE_DIRECT_PUT_RETENTION
from . import firehose
from .findings import acknowledge
from .firehose import DirectPut
from .grants import check_policy
from .lakes import JsonLines
from .places import check_key_here
from .streams import NewStream, alarms_of_stream, check_retention, grant_write, stream_of
from .transforms import transformed
from .values import Path, expect, in_seconds

if TYPE_CHECKING:
    from aws_cdk import Duration
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_s3 as s3
    from constructs import Construct

    from .alarms import Alarms
    from .glue import LakeTable
    from .lakes import Lake
    from .transforms import Transform

PARTITIONED = CfnDeliveryStream.DynamicPartitioningConfigurationProperty(enabled=True)
# The lakes of a bucket, each with the construct that has it.
_LAKES: WeakKeyDictionary[s3.IBucket, list[tuple[ref[Construct], Lake]]] = WeakKeyDictionary()


def source_of(
    scope: Construct,
    construct_id: str,
    source: kinesis.IStream | NewStream | DirectPut,
    max_age: Duration,
) -> kinesis.IStream | DirectPut:
    """Make a new stream, or return what there is: see ``stream_of``.

    Raises:
        ValueError: records would be gone before an alarm goes off, or the stream cannot be read.
    """
    expect("stream", source, "IStream", NewStream, DirectPut)
    if not isinstance(source, DirectPut):
        return stream_of(scope, construct_id, source, max_age)
    check_retention("Firehose", in_seconds(max_age), FIREHOSE_DIRECT_PUT_RETENTION)
    return source


def deliver(
    scope: Construct,
    construct_id: str,
    *,
    role: iam.Role,
    source: kinesis.IStream | DirectPut,
    transform: Transform | None,
    bucket: s3.IBucket,
    lake: Lake,
    table: LakeTable | None,
    log_group: logs.ILogGroup,
) -> CfnDeliveryStream:
    """Make a delivery stream, and let its role read, transform, write and log; no more.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        role: Firehose's, for this delivery stream alone.
        source: The stream that it reads, or none, since senders put records into it.
        transform: What cleans the records; None: they are stored as they come.
        bucket: Where the lake is.
        lake: Folders, form and buffers.
        table: Schema of the lake; None without one.
        log_group: Where Firehose says what it cannot deliver.

    Raises:
        ValueError: what nothing returns is a partition key, or the function is elsewhere.
    """
    _check_partitions(lake, transform)
    _check_neighbours(scope, bucket, lake)
    incoming = _source(scope, role, source)
    lines = table is None and isinstance(lake.files, JsonLines)
    processing = transformed(transform, role, lines=lines)
    firehose.grant_write(role, bucket, lake.folders.values())
    if table:
        table.grant_read_to_firehose(role)
    log_group.grant(role, "logs:PutLogEvents")
    made = CfnDeliveryStream(
        scope,
        lake.named(construct_id),
        **incoming,
        extended_s3_destination_configuration=firehose.Destination(
            **_where(role, bucket, lake),
            **_backup(scope, role, bucket, lake, log_group),
            **_form(role, lake, table),
            prefix=lake.path,
            processing_configuration=processing,
            buffering_hints=lake.buffering.hints(),
            dynamic_partitioning_configuration=PARTITIONED if lake.partition_keys else None,
            cloud_watch_logging_options=firehose.log_to(log_group, scope, "DeliveryErrors"),
        ),
    )
    # Firehose uses its permissions as soon as it is made.
    made.node.add_dependency(role, *([table] if table else []))
    if not isinstance(source, DirectPut):
        reason = "Firehose does not store the records of a stream: the stream encrypts them."
        acknowledge(made, "AwsSolutions::AwsSolutions-KDF1", reason)
    return made


def alarms_of_source(
    scope: Construct,
    source: kinesis.IStream | DirectPut,
    delivery_stream_name: str,
    max_age: Duration,
    alarms: Alarms,
) -> list[cloudwatch.Alarm]:
    """Go off when senders are throttled, and when a stream is read too slowly."""
    if isinstance(source, DirectPut):
        return firehose.alarms_of_direct_put(scope, delivery_stream_name, alarms)
    return alarms_of_stream(scope, source, max_age, alarms)


def grant_put(
    source: kinesis.IStream | DirectPut, delivery_stream: CfnDeliveryStream, grantee: iam.IGrantable
) -> iam.Grant:
    """Let ``grantee`` put records into the stream, or into Firehose, and use its customer key.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/encryption.html

    Raises:
        ValueError: it has no policy that this could be added to, or could not use the stream's
            key.
    """
    if not isinstance(source, DirectPut):
        return grant_write(source, grantee)
    check_policy(delivery_stream, grantee, "putting records into Firehose")
    if key := source.encryption_key:
        key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
    actions = ["firehose:PutRecord", "firehose:PutRecordBatch"]
    return iam.Grant.add_to_principal(
        grantee=grantee, actions=actions, resource_arns=[delivery_stream.attr_arn]
    )


def _check_partitions(lake: Lake, transform: Transform | None) -> None:
    """Reject partition keys without the function that returns their values.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-partitioning-keys.html
    """
    if lake.partition_keys and transform is None:
        raise ValueError(
            f"partition_keys are {', '.join(lake.partition_keys)}, but there is no transform, "
            "which would return their values for each record. Give one, or leave them out."
        )


def _check_neighbours(scope: Construct, bucket: s3.IBucket, lake: Lake) -> None:
    """Reject a lake whose folders are those of another lake in the bucket, or within them.

    Two lakes of one form may share a folder, but not one of failed or source records.
    """
    neighbours = _LAKES.setdefault(bucket, [])
    for reference, other in neighbours:
        if (there := reference()) is None:
            continue
        may_share = lake.form == other.form
        for (name, folder), (its_name, its) in product(lake.known_folders, other.known_folders):
            if not (may_share and name == its_name == "prefix"):
                mine, theirs = Path(scope, f"{name} of "), Path(there, f"{its_name} of ")
                reject(checks.folder_within(theirs, its, mine, folder))
                reject(checks.folder_within(mine, folder, theirs, its))
    neighbours.append((ref(scope), lake))


def _source(
    scope: Construct, role: iam.Role, source: kinesis.IStream | DirectPut
) -> dict[str, Any]:
    """Let Firehose read, and return where the records come from."""
    if isinstance(source, DirectPut):
        check_key_here(scope, source.encryption_key)
        if key := source.encryption_key:
            key.grant(role, "kms:Decrypt", "kms:GenerateDataKey")
        return {
            "delivery_stream_type": "DirectPut",
            "delivery_stream_encryption_configuration_input": source.encryption(),
        }
    firehose.grant_read(role, source)
    return {
        "delivery_stream_type": "KinesisStreamAsSource",
        "kinesis_stream_source_configuration": firehose.Source(
            kinesis_stream_arn=source.stream_arn, role_arn=role.role_arn
        ),
    }


def _where(role: iam.Role, bucket: s3.IBucket, lake: Lake) -> dict[str, Any]:
    return {
        "role_arn": role.role_arn,
        "bucket_arn": bucket.bucket_arn,
        "error_output_prefix": lake.error_prefix + firehose.FAILED_BY_TYPE,
    }


def _backup(
    scope: Construct, role: iam.Role, bucket: s3.IBucket, lake: Lake, log_group: logs.ILogGroup
) -> dict[str, Any]:
    """Return whether and where every record is stored unmodified."""
    if not lake.keep_source:
        return {"s3_backup_mode": "Disabled"}
    log = firehose.log_to(log_group, scope, "SourceErrors")
    stored = firehose.backup(lake.source_prefix, log, **_where(role, bucket, lake))
    return {"s3_backup_mode": "Enabled", "s3_backup_configuration": stored}


def _form(role: iam.Role, lake: Lake, table: LakeTable | None) -> dict[str, Any]:
    """Return how the objects are written."""
    if table is None:
        return lake.files.format
    # Parquet and ORC compress by themselves, and Firehose accepts no other compression with them.
    return {
        "compression_format": "UNCOMPRESSED",
        "data_format_conversion_configuration": table.conversion(role.role_arn),
    }
