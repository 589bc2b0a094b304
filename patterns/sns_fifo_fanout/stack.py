"""Price changes of an auto-parts shop: published once, for wholesale, retail and analytics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from ..foundation.findings import acknowledge
from ..foundation.functions import python_function
from ..foundation.layer import dependency_layer
from .construct import SnsFifoFanout, Subscriber

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

MAX_CONCURRENCY = 4  # more than the shop's load needs, and kind to a sandbox account's quota


class DemoStack(Stack):
    """Two price lists that are strictly in order for each part, and a lake with every change.

    Wholesale chooses its changes by a message attribute, retail by the body, analytics takes all.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._layer = dependency_layer(self, "Dependencies")
        wholesale_list = _price_list(self, "WholesalePrices")
        retail_list = _price_list(self, "RetailPrices")
        lake = _lake(self)
        price_wholesale = self._function(
            "PriceWholesale", "prices", TABLE_NAME=wholesale_list.table_name
        )
        price_retail = self._function("PriceRetail", "prices", TABLE_NAME=retail_list.table_name)
        analyse = self._function("Analyse", "analytics", BUCKET_NAME=lake.bucket_name)

        prices = SnsFifoFanout(self, "PriceChanges")
        wholesale = prices.add_fifo_queue(
            "Wholesale",
            consumer=price_wholesale,
            filter_policy={"channels": _is("wholesale")},
            max_concurrency=MAX_CONCURRENCY,
        )
        retail = prices.add_fifo_queue(
            "Retail",
            consumer=price_retail,
            filter_policy_with_message_body={"channels": sns.FilterOrPolicy.filter(_is("retail"))},
            max_concurrency=MAX_CONCURRENCY,
        )
        analytics = prices.add_queue(
            "Analytics",
            consumer=analyse,
            batch_size=500,
            max_batching_window=Duration.seconds(2),
            max_concurrency=MAX_CONCURRENCY,
        )

        wholesale_list.grant(price_wholesale, "dynamodb:PutItem")
        retail_list.grant(price_retail, "dynamodb:PutItem")
        _allow_files(lake, analyse)
        _keep_refused(price_wholesale, wholesale)
        _keep_refused(price_retail, retail)
        _keep_refused(analyse, analytics)

        outputs = {
            "TopicArn": prices.topic.topic_arn,
            "WholesaleTableName": wholesale_list.table_name,
            "RetailTableName": retail_list.table_name,
            "BucketName": lake.bucket_name,
            **_outputs("Wholesale", wholesale, price_wholesale),
            **_outputs("Retail", retail, price_retail),
            **_outputs("Analytics", analytics, analyse),
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _function(self, construct_id: str, module: str, **environment: str) -> lambda_.Function:
        return python_function(
            self,
            construct_id,
            handler=f"sns_fifo_fanout.{module}.handler",
            layer=self._layer,
            timeout=Duration.seconds(30),
            environment=environment,
        )


def _is(channel: str) -> sns.SubscriptionFilter:
    return sns.SubscriptionFilter.string_filter(allowlist=[channel])


def _price_list(stack: Stack, construct_id: str) -> dynamodb.Table:
    return dynamodb.Table(
        stack,
        construct_id,
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )


def _lake(stack: Stack) -> s3.Bucket:
    lake = s3.Bucket(
        stack,
        "Lake",
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        removal_policy=RemovalPolicy.DESTROY,
        auto_delete_objects=True,
    )
    acknowledge(
        lake,
        "AwsSolutions::AwsSolutions-S1",
        "Access logs are the account's to choose; the lake's only writer is a function.",
    )
    return lake


def _allow_files(lake: s3.Bucket, writer: lambda_.Function) -> None:
    files = lake.arn_for_objects("price-changes/*")
    writer.add_to_role_policy(iam.PolicyStatement(actions=["s3:PutObject"], resources=[files]))
    resource = lake.node.default_child
    if isinstance(resource, s3.CfnBucket):
        bucket = Stack.of(lake).get_logical_id(resource)
        acknowledge(
            writer.role or writer,
            f"AwsSolutions::AwsSolutions-IAM5[Resource::<{bucket}.Arn>/price-changes/*]",
            "It writes files whose names are not known before, in this folder alone.",
        )


def _keep_refused(function: lambda_.Function, subscriber: Subscriber) -> None:
    """Let the function send what no retry can mend to the dead-letter queue, with its reason."""
    function.add_environment("DEAD_LETTER_QUEUE_URL", subscriber.dead_letter_queue.queue_url)
    subscriber.dead_letter_queue.grant(function, "sqs:SendMessage")
    acknowledge(
        function,
        "Serverless::Serverless-LambdaDLQ",
        "A queue calls it, so the dead-letter queue is the queue's.",
    )


def _outputs(prefix: str, subscriber: Subscriber, consumer: lambda_.Function) -> dict[str, str]:
    return {
        f"{prefix}QueueUrl": subscriber.queue.queue_url,
        f"{prefix}DeadLetterQueueUrl": subscriber.dead_letter_queue.queue_url,
        f"{prefix}DeliveryDeadLetterQueueUrl": subscriber.delivery_dead_letter_queue.queue_url,
        f"{prefix}FunctionName": consumer.function_name,
    }
