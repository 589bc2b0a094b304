"""Price lists of an auto-parts shop's suppliers: uploaded, read once each, reported on beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.values import seconds
from .construct import (
    Consumer,
    NewBucket,
    S3EventsToLambda,
    S3EventsToSqsToLambda,
    Sweep,
    ThroughEventBridge,
    Watch,
)

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

LISTS = Watch("price-lists/", ".csv", ("ObjectCreated", "ObjectRemoved"))
CORRECTIONS = Watch("corrections/", ".csv")
REPORTS = "reports/"


class DemoStack(ShopStack):
    """``price-lists/*.csv``, ``offers/*.csv`` and ``corrections/*.csv`` of one bucket.

    Lists come by notifications to a queue, offers by a rule, and corrections, which cannot wait,
    straight to a function. All are read into one table, with a report of each below ``reports/``.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.results = self.table("Results", "pk", "sk")
        name = self.results.table_name
        sweep = self._sweeps("Sweep", LISTS)
        new = NewBucket(removal_policy=RemovalPolicy.DESTROY)
        lists, read = self._read("PriceLists", bucket=new, watch=[LISTS], sweep=Sweep(sweep))
        watch, way = [Watch("offers/", ".csv")], ThroughEventBridge()
        offers, _ = self._read("Offers", bucket=lists.bucket, watch=watch, through=way)
        correct = self.function("Correct", "corrections", TABLE_NAME=name)
        sweep_corrections = self._sweeps("SweepCorrections", CORRECTIONS)
        corrections = S3EventsToLambda(
            self,
            "Corrections",
            function=correct,
            bucket=lists.bucket,
            watch=[CORRECTIONS],
            results_prefix=REPORTS,
            sweep=Sweep(sweep_corrections),
        )
        called_by(correct, "Its failure queue holds what it fails.")
        self._may_read(correct, corrections, corrections.bucket_name)
        assert corrections.failure_queue  # noqa: S101 - nobody else keeps its failures
        for function, made in ((sweep, lists), (sweep_corrections, corrections)):
            made.grant_sweep(function)
            function.add_environment("BUCKET_NAME", lists.bucket.bucket_name)
        sweep.add_environment("QUEUE_URL", lists.queue.queue_url)
        sweep_corrections.add_environment("FUNCTION_ARN", correct.function_arn)
        self.outputs(
            BucketName=lists.bucket.bucket_name,
            QueueUrl=lists.queue.queue_url,
            DeadLetterQueueUrl=lists.dead_letter_queue.queue_url,
            OffersQueueUrl=offers.queue.queue_url,
            FunctionName=read.function_name,
            CorrectionsFunctionName=correct.function_name,
            FailureQueueUrl=corrections.failure_queue.queue_url,
            SweepFunctionName=sweep.function_name,
            CorrectionsSweepFunctionName=sweep_corrections.function_name,
            TableName=name,
        )

    def _sweeps(self, name: str, watch: Watch) -> lambda_.Function:
        of = {"TABLE_NAME": self.results.table_name, "PREFIX": watch.prefix, "SUFFIX": watch.suffix}
        function = self.function(name, "sweep", timeout=900, **of)
        self.results.grant(function, "dynamodb:BatchGetItem")
        called_by(function, "Nothing is lost with a run that fails: the next one finds the same.")
        return function

    def _read(self, name: str, **given: Any) -> tuple[S3EventsToSqsToLambda, lambda_.Function]:
        function = self.function(f"Read{name}", "price_lists", TABLE_NAME=self.results.table_name)
        consumer = Consumer(
            function, batch_size=50, max_batching_window=seconds(1), max_concurrency=MAX_CONCURRENCY
        )
        made = S3EventsToSqsToLambda(self, name, consumer=consumer, results_prefix=REPORTS, **given)
        self._may_read(function, made, made.bucket.bucket_name)
        self.keep_refused(function, made.dead_letter_queue)
        return made, function

    def _may_read(
        self,
        function: lambda_.Function,
        made: S3EventsToSqsToLambda | S3EventsToLambda,
        bucket_name: str,
    ) -> None:
        self.results.grant(function, "dynamodb:PutItem")
        made.grant_read(function)
        made.grant_write_results(function)
        function.add_environment("BUCKET_NAME", bucket_name)
