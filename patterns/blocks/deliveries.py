"""Firehose → S3: a delivery stream that writes a lake, with what it may do and needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream

from . import firehose
from .findings import acknowledge
from .transforms import transformed

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_s3 as s3
    from constructs import Construct

    from .glue import LakeTable
    from .lakes import Lake
    from .transforms import Transform

PARTITIONED = CfnDeliveryStream.DynamicPartitioningConfigurationProperty(enabled=True)


def deliver(
    scope: Construct,
    construct_id: str,
    *,
    role: iam.Role,
    source: kinesis.IStream,
    transform: Transform,
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
        source: The stream that it reads.
        transform: What cleans the records.
        bucket: Where the lake is.
        lake: Folders, form and buffers.
        table: Schema of the lake; None for JSON lines.
        log_group: Where Firehose says what it cannot deliver.
    """
    firehose.grant_read(role, source)
    processing = transformed(transform, role)
    firehose.grant_write(role, bucket, lake.folders.values())
    if table:
        table.grant_read_to_firehose(role)
    log_group.grant(role, "logs:PutLogEvents")
    made = CfnDeliveryStream(
        scope,
        construct_id,
        delivery_stream_type="KinesisStreamAsSource",
        kinesis_stream_source_configuration=firehose.Source(
            kinesis_stream_arn=source.stream_arn, role_arn=role.role_arn
        ),
        extended_s3_destination_configuration=firehose.Destination(
            **_where(role, bucket, lake),
            **_backup(scope, role, bucket, lake, log_group),
            **_form(role, table),
            prefix=lake.path,
            processing_configuration=processing,
            buffering_hints=lake.buffering.hints(),
            dynamic_partitioning_configuration=PARTITIONED if lake.partition_keys else None,
            cloud_watch_logging_options=firehose.log_to(log_group, scope, "DeliveryErrors"),
        ),
    )
    # Firehose uses its permissions as soon as it is made.
    made.node.add_dependency(role, *([table] if table else []))
    reason = "Firehose does not store the records of a stream: the stream encrypts them."
    acknowledge(made, "AwsSolutions::AwsSolutions-KDF1", reason)
    return made


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


def _form(role: iam.Role, table: LakeTable | None) -> dict[str, Any]:
    """Return how the objects are written."""
    if table is None:
        return {"compression_format": "GZIP", "file_extension": ".jsonl.gz"}
    # Parquet compresses by itself, and Firehose accepts no other compression with it.
    return {
        "compression_format": "UNCOMPRESSED",
        "data_format_conversion_configuration": table.parquet(role.role_arn),
    }
