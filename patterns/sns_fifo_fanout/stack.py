"""Price changes of an auto-parts shop: published once, for wholesale, retail and analytics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.findings import acknowledge, resource_in_findings
from ..blocks.values import seconds
from .construct import Consumer, NewQueue, SnsFifoFanout, Subscription

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

WHOLESALE = sns.SubscriptionFilter.string_filter(allowlist=["wholesale"])
RETAIL = sns.SubscriptionFilter.string_filter(allowlist=["retail"])


class DemoStack(ShopStack):
    """Two price lists that are strictly in order for each part, and a lake with every change.

    Wholesale chooses its changes by a message attribute, retail by the body, analytics takes all.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        price_wholesale, wholesale_list = self._price_list("Wholesale")
        price_retail, retail_list = self._price_list("Retail")
        analyse, lake = self._lake()

        prices = SnsFifoFanout(self, "PriceChanges")
        prices.add_queue(
            "Wholesale",
            consumer=Consumer(price_wholesale, max_concurrency=MAX_CONCURRENCY),
            queue=NewQueue(fifo=True),
            subscription=Subscription(filter_policy={"channels": WHOLESALE}),
        )
        by_body = {"channels": sns.FilterOrPolicy.filter(RETAIL)}
        prices.add_queue(
            "Retail",
            consumer=Consumer(price_retail, max_concurrency=MAX_CONCURRENCY),
            queue=NewQueue(fifo=True),
            subscription=Subscription(filter_policy_with_message_body=by_body),
        )
        prices.add_queue(
            "Analytics",
            consumer=Consumer(
                analyse,
                batch_size=500,
                max_batching_window=seconds(2),
                max_concurrency=MAX_CONCURRENCY,
            ),
        )

        change_prices = self.function(
            "ChangePrices", "price_management", timeout=60, TOPIC_ARN=prices.topic.topic_arn
        )
        prices.grant_publish(change_prices)
        called_by(change_prices, "The price application waits for its answer.")

        self.outputs(
            TopicArn=prices.topic.topic_arn,
            ChangePricesFunctionName=change_prices.function_name,
            WholesaleTableName=wholesale_list.table_name,
            RetailTableName=retail_list.table_name,
            BucketName=lake.bucket_name,
        )
        consumers = {"Wholesale": price_wholesale, "Retail": price_retail, "Analytics": analyse}
        for one, (name, function) in zip(prices.subscribers, consumers.items(), strict=True):
            self.keep_refused(function, one.dead_letter_queue)
            queues = {
                "Queue": one.queue,
                "DeadLetterQueue": one.dead_letter_queue,
                "DeliveryDeadLetterQueue": one.delivery_dead_letter_queue,
            }
            self.outputs(**{f"{name}{kind}Url": queue.queue_url for kind, queue in queues.items()})
            self.outputs(**{f"{name}FunctionName": function.function_name})

    def _price_list(self, name: str) -> tuple[lambda_.Function, dynamodb.Table]:
        table = self.table(f"{name}Prices", "pk", "sk")
        function = self.function(f"Price{name}", "prices", TABLE_NAME=table.table_name)
        table.grant(function, "dynamodb:PutItem")
        return function, table

    def _lake(self) -> tuple[lambda_.Function, s3.Bucket]:
        lake = s3.Bucket(
            self,
            "Lake",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=RemovalPolicy.DESTROY,
            auto_delete_objects=True,
        )
        reason = "Access logs are the account's to choose; the lake's only writer is a function."
        acknowledge(lake, "AwsSolutions::AwsSolutions-S1", reason)
        writer = self.function("Analyse", "analytics", BUCKET_NAME=lake.bucket_name)
        files = lake.arn_for_objects("price-changes/*")
        writer.add_to_role_policy(iam.PolicyStatement(actions=["s3:PutObject"], resources=[files]))
        acknowledge(
            writer.role or writer,
            f"AwsSolutions::AwsSolutions-IAM5[Resource::{resource_in_findings(self, files)}]",
            "It writes files whose names are not known before, in this folder alone.",
        )
        return writer, lake
