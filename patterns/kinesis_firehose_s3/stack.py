"""The click stream of an auto-parts shop: cleaned on the way, and queryable within minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, CfnOutput, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_s3 as s3

from ..foundation.findings import acknowledge
from ..foundation.functions import python_function
from ..foundation.layer import dependency_layer
from .construct import KinesisToFirehoseToS3

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

COLUMNS = {
    "click_id": "string",
    "user_id": "string",
    "session_id": "string",
    "clicked_at": "timestamp",
    "page": "string",
    "sku": "string",
    "referrer_host": "string",
    "device": "string",
    "country": "string",
    "source": "string",
}
RESULTS_PREFIX = "query-results/"


class DemoStack(Stack):
    """Clicks of the web shop as Parquet for Athena; clicks of terminals as JSON by country."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        layer = dependency_layer(self, "Dependencies")

        clean_clicks = _transform(self, "CleanClicks", layer)
        clicks = KinesisToFirehoseToS3(
            self,
            "Clicks",
            transform=clean_clicks,
            prefix="clicks/",
            error_prefix="errors/clicks/",
            columns=COLUMNS,
            buffering_interval=Duration.minutes(1),
            transform_buffering_interval=Duration.seconds(10),
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(30))],
            removal_policy=RemovalPolicy.DESTROY,
        )

        clean_terminals = _transform(
            self, "CleanTerminals", layer, environment={"PARTITION_KEYS": "country"}
        )
        terminals = KinesisToFirehoseToS3(
            self,
            "Terminals",
            transform=clean_terminals,
            shard_count=1,
            retention_period=Duration.days(1),
            bucket=clicks.bucket,
            prefix="terminals/",
            error_prefix="errors/terminals/",
            partition_keys=["country"],
            back_up_source=True,
            buffering_interval=Duration.minutes(1),
            transform_buffering_interval=Duration.seconds(10),
            removal_policy=RemovalPolicy.DESTROY,
        )

        work_group = athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=Fn.join("-", ["clicks", Fn.select(2, Fn.split("/", Aws.STACK_ID))]),
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                bytes_scanned_cutoff_per_query=10 * 1024**3,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{clicks.bucket.bucket_name}/{RESULTS_PREFIX}",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )

        outputs = {
            "StreamName": clicks.stream.stream_name,
            "DeliveryStreamName": clicks.delivery_stream.ref,
            "FunctionName": clean_clicks.function_name,
            "BucketName": clicks.bucket.bucket_name,
            "Prefix": clicks.prefix,
            "ErrorPrefix": clicks.error_prefix,
            "DatabaseName": clicks.table.database_name,
            "TableName": clicks.table.table_name,
            "WorkGroupName": work_group.name,
            "TerminalStreamName": terminals.stream.stream_name,
            "TerminalFunctionName": clean_terminals.function_name,
            "TerminalPrefix": terminals.prefix,
            "TerminalErrorPrefix": terminals.error_prefix,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)


def _transform(
    scope: Construct,
    construct_id: str,
    layer: lambda_.ILayerVersion,
    environment: dict[str, str] | None = None,
) -> lambda_.Function:
    function = python_function(
        scope,
        construct_id,
        handler="kinesis_firehose_s3.transform.handler",
        layer=layer,
        timeout=Duration.minutes(1),
        environment=environment,
    )
    acknowledge(
        function,
        "Serverless::Serverless-LambdaDLQ",
        "Firehose calls it and waits; what it fails is kept below the error prefix.",
    )
    return function
