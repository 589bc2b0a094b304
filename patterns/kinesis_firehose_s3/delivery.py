"""What Firehose is told: through which function, in which form, and where to.

The properties are CloudFormation's own: the L2 of aws-cdk-lib 2.275 takes no transform batch
between 0.2 and 1 MiB, lets Firehose delete what it has written, and adds a mapping that nothing
uses to the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_kinesisfirehose as firehose

from ..blocks.firehose import ACCOUNT, ARRIVED, FAILED_BY_TYPE, allow, grant_write
from ..blocks.transforms import grant_transform

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_s3 as s3

    from ..blocks.transforms import Transform
    from .settings import Lake
    from .table import LakeTable

_Delivery = firehose.CfnDeliveryStream
Destination = _Delivery.ExtendedS3DestinationConfigurationProperty


def grant_delivery(
    role: iam.Role,
    stream: kinesis.IStream,
    transform: Transform,
    bucket: s3.IBucket,
    lake: Lake,
    table: LakeTable | None,
    log_group: logs.ILogGroup,
) -> None:
    """Let Firehose read the stream, call the function and write to the lake's folders; no more.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
    """
    reads = ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")
    stream.grant(role, *(f"kinesis:{action}" for action in reads))
    if stream.encryption_key:
        stream.encryption_key.grant_decrypt(role)
    grant_transform(role, transform)
    grant_write(role, bucket, lake.folders.values())
    if table:
        allow(role, table.arns, "glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions")
    log_group.grant(role, "logs:PutLogEvents")


def source(
    stream: kinesis.IStream, role_arn: str
) -> _Delivery.KinesisStreamSourceConfigurationProperty:
    """Return the stream that Firehose reads."""
    return _Delivery.KinesisStreamSourceConfigurationProperty(
        kinesis_stream_arn=stream.stream_arn, role_arn=role_arn
    )


def converted(
    table: LakeTable, role_arn: str
) -> _Delivery.DataFormatConversionConfigurationProperty:
    """Return the conversion of JSON to Parquet by the table's columns."""
    json = _Delivery.DeserializerProperty(open_x_json_ser_de=_Delivery.OpenXJsonSerDeProperty())
    parquet = _Delivery.SerializerProperty(
        parquet_ser_de=_Delivery.ParquetSerDeProperty(compression="SNAPPY")
    )
    return _Delivery.DataFormatConversionConfigurationProperty(
        enabled=True,
        input_format_configuration=_Delivery.InputFormatConfigurationProperty(deserializer=json),
        output_format_configuration=_Delivery.OutputFormatConfigurationProperty(serializer=parquet),
        schema_configuration=_Delivery.SchemaConfigurationProperty(
            catalog_id=ACCOUNT,
            region=Aws.REGION,
            role_arn=role_arn,
            database_name=table.database_name,
            table_name=table.table_name,
            version_id="LATEST",
        ),
    )


def path(lake: Lake) -> str:
    """Return the folder that a record goes to: its partition keys' values, then its day."""
    keys = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in lake.partition_keys)
    return lake.prefix + keys + ARRIVED


def kept(
    bucket_arn: str,
    role_arn: str,
    lake: Lake,
    log: _Delivery.CloudWatchLoggingOptionsProperty,
) -> _Delivery.S3DestinationConfigurationProperty:
    """Return where every record is stored unmodified, before the function sees it."""
    return _Delivery.S3DestinationConfigurationProperty(
        bucket_arn=bucket_arn,
        role_arn=role_arn,
        prefix=lake.source_prefix + ARRIVED,
        error_output_prefix=lake.error_prefix + FAILED_BY_TYPE,
        compression_format="GZIP",
        buffering_hints=_Delivery.BufferingHintsProperty(size_in_m_bs=64, interval_in_seconds=300),
        cloud_watch_logging_options=log,
    )
