"""Price lists of an auto-parts shop's suppliers: uploaded, read once each, reported on beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.values import seconds
from .construct import Consumer, NewBucket, S3EventsToSqsToLambda, Sweep, Watch

if TYPE_CHECKING:
    from constructs import Construct

LISTS = Watch("price-lists/", ".csv", ("ObjectCreated", "ObjectRemoved"))


class DemoStack(ShopStack):
    """``price-lists/*.csv`` is read into a table, with a report of each below ``reports/``."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Results", "pk", "sk")
        read = self.function("ReadPriceLists", "price_lists", TABLE_NAME=table.table_name)
        sweep = self.function(
            "Sweep",
            "sweep",
            timeout=900,
            TABLE_NAME=table.table_name,
            PREFIX=LISTS.prefix,
            SUFFIX=LISTS.suffix,
        )
        lists = S3EventsToSqsToLambda(
            self,
            "PriceLists",
            consumer=Consumer(
                read,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
            bucket=NewBucket(removal_policy=RemovalPolicy.DESTROY),
            watch=[LISTS],
            results_prefix="reports/",
            sweep=Sweep(sweep),
        )
        table.grant(read, "dynamodb:PutItem")
        table.grant(sweep, "dynamodb:BatchGetItem")
        lists.grant_read(read)
        lists.grant_write_results(read)
        lists.grant_sweep(sweep)
        self.keep_refused(read, lists.dead_letter_queue)
        called_by(sweep, "Nothing is lost with a run that fails: the next one finds the same.")
        for function in (read, sweep):
            function.add_environment("BUCKET_NAME", lists.bucket.bucket_name)
        sweep.add_environment("QUEUE_URL", lists.queue.queue_url)
        self.outputs(
            BucketName=lists.bucket.bucket_name,
            QueueUrl=lists.queue.queue_url,
            DeadLetterQueueUrl=lists.dead_letter_queue.queue_url,
            FunctionName=read.function_name,
            SweepFunctionName=sweep.function_name,
            TableName=table.table_name,
        )
