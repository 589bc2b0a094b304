"""Catalogs of an auto-parts shop's suppliers, of any size: in a queue, in order, and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk.aws_apigateway import JsonSchema, JsonSchemaType

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by, signed_requests_only
from ..blocks.values import seconds
from .construct import (
    ClaimCheck,
    ClaimCheckFanout,
    Consumer,
    Endpoint,
    NewApi,
    NewBucket,
    NewQueue,
    Payloads,
    Sweep,
)

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct


class DemoStack(ShopStack):
    """A queue with uploads and a sweep, a FIFO queue, and a topic; one bucket for all."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Catalogs", "pk", time_to_live="expires_at")
        sweep = self.function("Sweep", "sweep", timeout=900, TABLE_NAME=table.table_name)
        called_by(sweep, "Nothing is lost with a run that fails: the next one finds the same.")
        read = self._reader("Read", "catalogs", table)
        new = NewBucket(removal_policy=RemovalPolicy.DESTROY)
        claims = ClaimCheck(
            self,
            "Claims",
            consumer=_consumer(read),
            payloads=Payloads(bucket=new, prefix="catalogs/"),
            sweep=Sweep(sweep),
        )
        claims.grant_claim(read)
        self._tell(read, claims.environment, claims)
        table.grant(sweep, "dynamodb:BatchGetItem")
        claims.grant_sweep(sweep)
        self._tell(sweep, claims.sweep_environment)

        ordered = self._reader("ReadInOrder", "catalogs_in_order", table)
        in_order = ClaimCheck(
            self,
            "InOrder",
            consumer=Consumer(ordered, max_concurrency=MAX_CONCURRENCY),
            payloads=Payloads(bucket=claims.bucket, prefix="in-order/"),
            queue=NewQueue(fifo=True),
        )
        in_order.grant_claim(ordered)
        self._tell(ordered, in_order.environment, in_order)

        fanout = ClaimCheckFanout(
            self, "Fanout", payloads=Payloads(bucket=claims.bucket, prefix="shared/")
        )
        searched = self.table("SearchCatalogs", "pk")
        search = self._reader("ReadForSearch", "catalogs_shared", searched, **fanout.environment)
        of_search = fanout.add_queue("Search", consumer=_consumer(search))
        fanout.grant_read(search)
        self.keep_refused(search, of_search.dead_letter_queue)
        self._upload(claims)
        self.outputs(
            BucketName=claims.bucket.bucket_name,
            QueueUrl=claims.queue.queue_url,
            DeadLetterQueueUrl=claims.dead_letter_queue.queue_url,
            FunctionName=read.function_name,
            FifoQueueUrl=in_order.queue.queue_url,
            FifoDeadLetterQueueUrl=in_order.dead_letter_queue.queue_url,
            TopicArn=fanout.topic.topic_arn,
            SearchQueueUrl=of_search.queue.queue_url,
            SearchDeadLetterQueueUrl=of_search.dead_letter_queue.queue_url,
            SearchTableName=searched.table_name,
            SweepFunctionName=sweep.function_name,
            TableName=table.table_name,
        )

    def _reader(self, name: str, module: str, table: Any, **told: str) -> lambda_.Function:
        function = self.function(name, module, timeout=120, TABLE_NAME=table.table_name, **told)
        table.grant(function, "dynamodb:PutItem", "dynamodb:GetItem")
        return function

    def _tell(self, function: lambda_.Function, told: dict[str, str], queue: Any = None) -> None:
        for name, value in told.items():
            function.add_environment(name, value)
        if queue:
            self.keep_refused(function, queue.dead_letter_queue)

    def _upload(self, claims: ClaimCheck) -> None:
        front, announcer = self.function("Front", "uploads"), self.function("Announce", "announce")
        called_by(front, "An API calls it, and its client is told what fails.")
        api, kind = NewApi(cloud_watch_role=self.sets_cloud_watch_role), JsonSchemaType
        fields = {"content_type": JsonSchema(type=kind.STRING)}
        fields["size"] = JsonSchema(type=kind.INTEGER, minimum=1)
        schema = JsonSchema(title="Upload", type=kind.OBJECT, required=[*fields], properties=fields)
        uploads = claims.add_uploads(
            front=front,
            announcer=_consumer(announcer),
            endpoint=Endpoint("uploads", schema=schema, api=api),
        )
        self._tell(front, uploads.front_environment)
        self._tell(announcer, uploads.announcer_environment, uploads.events)
        signed_requests_only(uploads.entry.api)
        uploads.entry.grant_execute(iam.Role(self, "Client", assumed_by=iam.AccountRootPrincipal()))
        self.outputs(
            ApiUrl=uploads.entry.api.deployment_stage.url_for_path(),
            UploadsQueueUrl=uploads.events.queue.queue_url,
            UploadsDeadLetterQueueUrl=uploads.events.dead_letter_queue.queue_url,
        )


def _consumer(function: lambda_.Function) -> Consumer:
    batches: dict[str, Any] = {"batch_size": 50, "max_batching_window": seconds(1)}
    return Consumer(function, max_concurrency=MAX_CONCURRENCY, **batches)
