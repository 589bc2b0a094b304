"""Orders and order changes of an auto-parts shop: accepted by an API, processed later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb

from ..foundation.findings import acknowledge
from ..foundation.functions import python_function
from ..foundation.layer import dependency_layer
from .construct import ApiGatewayToSqsToLambda, RequestField
from .schemas import ORDER, ORDER_CHANGE

if TYPE_CHECKING:
    from constructs import Construct

CLOUD_WATCH_ROLE = "api-gateway-cloud-watch-role"
MAX_CONCURRENCY = 4  # more than the shop's load needs, and kind to a sandbox account's quota


class DemoStack(Stack):
    """``POST /orders`` through a standard queue, ``POST /order-changes`` through a FIFO queue.

    Context ``api-gateway-cloud-watch-role=true`` also sets the account's role for API Gateway's
    logs; an account and region needs it once.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        layer = dependency_layer(self, "Dependencies")
        store_orders = python_function(
            self,
            "StoreOrders",
            handler="api_sqs_lambda.orders.handler",
            layer=layer,
            timeout=Duration.seconds(30),
            environment={"TABLE_NAME": table.table_name},
        )
        store_changes = python_function(
            self,
            "StoreOrderChanges",
            handler="api_sqs_lambda.order_changes.handler",
            layer=layer,
            timeout=Duration.seconds(30),
            environment={"TABLE_NAME": table.table_name},
        )

        orders = ApiGatewayToSqsToLambda(
            self,
            "Orders",
            path="orders",
            schema=ORDER,
            consumer=store_orders,
            batch_size=50,
            max_batching_window=Duration.seconds(1),
            max_concurrency=MAX_CONCURRENCY,
            rate_limit=400,
            burst_limit=400,
            cloud_watch_role=self.node.try_get_context(CLOUD_WATCH_ROLE) == "true",
        )
        changes = ApiGatewayToSqsToLambda(
            self,
            "OrderChanges",
            path="order-changes",
            schema=ORDER_CHANGE,
            api=orders.api,
            consumer=store_changes,
            max_concurrency=MAX_CONCURRENCY,
            fifo=True,
            message_group_id=RequestField.body("order_id"),
            deduplication_id=RequestField.header("Idempotency-Key"),
        )

        # What no retry can mend goes to the dead-letter queue at once, with its reason.
        for function, pattern in ((store_orders, orders), (store_changes, changes)):
            function.add_environment("DEAD_LETTER_QUEUE_URL", pattern.dead_letter_queue.queue_url)
            pattern.dead_letter_queue.grant(function, "sqs:SendMessage")
            acknowledge(
                function,
                "Serverless::Serverless-LambdaDLQ",
                "A queue calls it, so the dead-letter queue is the queue's.",
            )
        table.grant(store_orders, "dynamodb:PutItem")
        table.grant(store_changes, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")

        acknowledge(
            orders.api,
            "AwsSolutions::AwsSolutions-COG4",
            "Callers sign their requests: the methods authorize by IAM.",
        )
        acknowledge(
            orders.api,
            "AwsSolutions::AwsSolutions-APIG3",
            "A firewall is the account's to choose and to pay; the API takes signed requests only.",
        )

        outputs = {
            "ApiUrl": orders.api.deployment_stage.url_for_path(),
            "QueueUrl": orders.queue.queue_url,
            "DeadLetterQueueUrl": orders.dead_letter_queue.queue_url,
            "FunctionName": store_orders.function_name,
            "FifoQueueUrl": changes.queue.queue_url,
            "FifoDeadLetterQueueUrl": changes.dead_letter_queue.queue_url,
            "FifoFunctionName": store_changes.function_name,
            "TableName": table.table_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
