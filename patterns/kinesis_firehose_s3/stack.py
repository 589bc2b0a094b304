"""The click stream of an auto-parts shop: cleaned on the way, and queryable within minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, Fn, RemovalPolicy
from aws_cdk import aws_athena as athena
from aws_cdk import aws_s3 as s3

from ..blocks.demo import ShopStack, called_by
from ..blocks.firehose import Buffering
from ..blocks.values import seconds
from .construct import (
    DirectPut,
    KinesisToFirehoseToS3,
    Lake,
    NewBucket,
    NewStream,
    Raw,
    Table,
    Transform,
)

if TYPE_CHECKING:
    from constructs import Construct

NAMES = "click_id user_id session_id clicked_at page sku referrer_host device country source"
COLUMNS = dict.fromkeys(NAMES.split(), "string") | {"clicked_at": "timestamp"}
DAY = 86_400
DESTROY = RemovalPolicy.DESTROY
SOON = seconds(10)  # small batches and objects, so that the demo's records arrive early
WHY_NO_QUEUE = "Firehose calls it and waits; failed records are stored under the error prefix."


class DemoStack(ShopStack):
    """Clicks of the web shop as Parquet for Athena, of terminals as JSON by country; raw scans."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        buffering = Buffering(interval=seconds(60))
        expiry = s3.LifecycleRule(expiration=seconds(30 * DAY))
        country = {"PARTITION_KEYS": "country"}
        clean_clicks = self.function("CleanClicks", "transform", timeout=60)
        clean_terminals = self.function("CleanTerminals", "transform", timeout=60, **country)
        for function in (clean_clicks, clean_terminals):
            called_by(function, WHY_NO_QUEUE)

        clicks = KinesisToFirehoseToS3(
            self,
            "Clicks",
            transform=Transform(clean_clicks, batch_interval=SOON),
            stream=NewStream(removal_policy=DESTROY),
            bucket=NewBucket(lifecycle_rules=[expiry], removal_policy=DESTROY),
            lake=Lake("clicks/", "errors/clicks/", table=Table(COLUMNS), buffering=buffering),
        )
        terminals = KinesisToFirehoseToS3(
            self,
            "Terminals",
            transform=Transform(clean_terminals, batch_interval=SOON),
            stream=NewStream(shard_count=1, retention_period=seconds(DAY), removal_policy=DESTROY),
            bucket=clicks.bucket,
            lake=Lake(
                "terminals/",
                "errors/terminals/",
                partition_keys=["country"],
                keep_source=True,
                buffering=buffering,
            ),
        )

        scans = KinesisToFirehoseToS3(
            self,
            "Scans",
            stream=DirectPut(),
            bucket=clicks.bucket,
            lake=Lake("scans/", "errors/scans/", files=Raw(), buffering=buffering),
        )

        self.outputs(
            StreamName=clicks.stream.stream_name,
            DeliveryStreamName=clicks.delivery_stream.ref,
            FunctionName=clean_clicks.function_name,
            BucketName=clicks.bucket.bucket_name,
            Prefix=clicks.prefix,
            ErrorPrefix=clicks.error_prefix,
            DatabaseName=clicks.table.database_name,
            TableName=clicks.table.table_name,
            WorkGroupName=_work_group(self, clicks.bucket).name,
            TerminalStreamName=terminals.stream.stream_name,
            TerminalFunctionName=clean_terminals.function_name,
            TerminalPrefix=terminals.prefix,
            TerminalErrorPrefix=terminals.error_prefix,
            ScanDeliveryStreamName=scans.delivery_stream.ref,
            ScanPrefix=scans.prefix,
        )


def _work_group(scope: Construct, bucket: s3.IBucket) -> athena.CfnWorkGroup:
    """Make Athena's workgroup, which stores the results of queries beside the lake."""
    settings = athena.CfnWorkGroup
    encryption = settings.EncryptionConfigurationProperty(encryption_option="SSE_S3")
    return settings(
        scope,
        "WorkGroup",
        name=Fn.join("-", ["clicks", Fn.select(2, Fn.split("/", Aws.STACK_ID))]),
        recursive_delete_option=True,
        work_group_configuration=settings.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=True,
            bytes_scanned_cutoff_per_query=10 * 1024**3,
            result_configuration=settings.ResultConfigurationProperty(
                output_location=f"s3://{bucket.bucket_name}/query-results/",
                encryption_configuration=encryption,
            ),
        ),
    )
