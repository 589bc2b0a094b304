"""What Firehose is told: where from, through which function, in which form, and where to.

The properties are CloudFormation's own: the L2 of aws-cdk-lib 2.275 takes no transform batch
between 0.2 and 1 MiB, lets Firehose delete what it has written, and adds a mapping that nothing
uses to the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, Tokenization
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose

from .table import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import Duration, Size
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_logs as logs
    from aws_cdk import aws_s3 as s3
    from constructs import Construct

    from .table import LakeTable

Destination = firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty
_Delivery = firehose.CfnDeliveryStream

# Amazon Data Firehose developer guide, "Understand custom prefixes for Amazon S3 objects".
ARRIVED = f"{DAY}=!{{timestamp:yyyy-MM-dd}}/"
FAILED_BY_TYPE = "!{firehose:error-output-type}/" + ARRIVED


def role_of_firehose(scope: Construct) -> iam.Role:
    """Make the role that Firehose takes, for streams of this account alone."""
    return iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal(
            "firehose.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        ),
    )


def grant_delivery(
    role: iam.Role,
    *,
    stream: kinesis.IStream,
    transform: lambda_.IFunction,
    bucket: s3.IBucket,
    prefixes: Sequence[str],
    table: LakeTable | None,
    log_group: logs.ILogGroup,
) -> None:
    """Let Firehose read the stream, call the function and write below ``prefixes``; no more.

    Amazon Data Firehose developer guide, "Controlling access".
    """
    stream.grant(
        role,
        "kinesis:DescribeStream",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
    )
    if stream.encryption_key:
        stream.encryption_key.grant_decrypt(role)
    transform.grant_invoke(role)
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resources=[bucket.bucket_arn],
        )
    )
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            resources=[bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
        )
    )
    if bucket.encryption_key:
        bucket.encryption_key.grant(role, "kms:Decrypt", "kms:GenerateDataKey")
    if table:
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
                resources=table.arns,
            )
        )
    log_group.grant(role, "logs:PutLogEvents")


def transform_by(
    function: lambda_.IFunction, role: iam.IRole, *, size: Size, interval: Duration, retries: int
) -> _Delivery.ProcessingConfigurationProperty:
    """Return the call of the function for each batch of records."""
    parameters = {
        "LambdaArn": function.function_arn,
        "RoleArn": role.role_arn,
        "BufferSizeInMBs": (
            Tokenization.stringify_number(size.to_mebibytes())
            if size.is_unresolved()
            else f"{size.to_kibibytes() / 1024:g}"
        ),
        "BufferIntervalInSeconds": Tokenization.stringify_number(interval.to_seconds()),
        "NumberOfRetries": f"{retries}",
    }
    return _Delivery.ProcessingConfigurationProperty(
        enabled=True,
        processors=[
            _Delivery.ProcessorProperty(
                type="Lambda",
                parameters=[
                    _Delivery.ProcessorParameterProperty(parameter_name=name, parameter_value=value)
                    for name, value in parameters.items()
                ],
            )
        ],
    )


def as_parquet(
    table: LakeTable, role: iam.IRole
) -> _Delivery.DataFormatConversionConfigurationProperty:
    """Return the conversion of JSON to Parquet by the table's columns."""
    return _Delivery.DataFormatConversionConfigurationProperty(
        enabled=True,
        input_format_configuration=_Delivery.InputFormatConfigurationProperty(
            deserializer=_Delivery.DeserializerProperty(
                open_x_json_ser_de=_Delivery.OpenXJsonSerDeProperty()
            )
        ),
        output_format_configuration=_Delivery.OutputFormatConfigurationProperty(
            serializer=_Delivery.SerializerProperty(
                parquet_ser_de=_Delivery.ParquetSerDeProperty(compression="SNAPPY")
            )
        ),
        schema_configuration=_Delivery.SchemaConfigurationProperty(
            catalog_id=Aws.ACCOUNT_ID,
            region=Aws.REGION,
            role_arn=role.role_arn,
            database_name=table.database_name,
            table_name=table.table_name,
            version_id="LATEST",
        ),
    )


def lake_prefix(prefix: str, partition_keys: Sequence[str]) -> str:
    """Return the folder that a record goes to: its partition keys' values, then its day."""
    keys = "".join(f"{key}=!{{partitionKeyFromLambda:{key}}}/" for key in partition_keys)
    return prefix + keys + ARRIVED


def source_backup(
    bucket: s3.IBucket,
    role: iam.IRole,
    prefix: str,
    error_prefix: str,
    logging: _Delivery.CloudWatchLoggingOptionsProperty,
) -> _Delivery.S3DestinationConfigurationProperty:
    """Return where every record is kept as it came, compressed, before the function sees it."""
    return _Delivery.S3DestinationConfigurationProperty(
        bucket_arn=bucket.bucket_arn,
        role_arn=role.role_arn,
        prefix=prefix + ARRIVED,
        error_output_prefix=error_prefix + FAILED_BY_TYPE,
        compression_format="GZIP",
        buffering_hints=_Delivery.BufferingHintsProperty(size_in_m_bs=64, interval_in_seconds=300),
        cloud_watch_logging_options=logging,
    )
