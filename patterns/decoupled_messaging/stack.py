"""Orders of an auto-parts shop: the customer service accepts them, sales works on them later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk.aws_apigateway import JsonSchema, JsonSchemaType

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by, signed_requests_only
from ..blocks.findings import acknowledge_wildcards
from ..blocks.values import seconds
from .construct import (
    Consumer,
    DecoupledMessaging,
    Endpoint,
    NewApi,
    NewQueue,
    StreamConsumer,
    TableSettings,
)

if TYPE_CHECKING:
    from constructs import Construct

RECEIVES, DEADLINE = 5, seconds(120)
FIELDS = ("order_id", "customer_id", "currency", "total")


def _schema() -> JsonSchema:
    """Return the shape of an order. What it means sales checks."""
    kind, text = JsonSchemaType, JsonSchema(type=JsonSchemaType.STRING)
    fields = dict.fromkeys(FIELDS, text) | {"lines": JsonSchema(type=kind.ARRAY, min_items=1)}
    return JsonSchema(title="Order", type=kind.OBJECT, required=[*fields], properties=fields)


class DemoStack(ShopStack):
    """``POST /orders`` to the customer service, whose table feeds the queue of sales."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        customer = self.function("Customer", "customer")
        relay = self.function("Relay", "relay")
        sold = self.table("Sold", "pk")
        receives = str(RECEIVES)
        sales = self.function(
            "Sales", "sales", TABLE_NAME=sold.table_name, MAX_RECEIVE_COUNT=receives
        )
        api = NewApi(rate_limit=400, burst_limit=400, cloud_watch_role=self.sets_cloud_watch_role)
        settings: dict[str, Any] = {"batch_size": 50, "max_batching_window": seconds(1)}
        orders = DecoupledMessaging(
            self,
            "Orders",
            front=customer,
            relay=StreamConsumer(function=relay, retry_attempts=-1, parallelization_factor=4),
            consumer=Consumer(sales, max_concurrency=MAX_CONCURRENCY, **settings),
            endpoint=Endpoint("orders", schema=_schema(), api=api),
            table=TableSettings(removal_policy=RemovalPolicy.DESTROY),
            queue=NewQueue(max_receive_count=RECEIVES),
            deadline=DEADLINE,
        )
        for function, variables in (
            (customer, orders.environment),
            (relay, orders.relay_environment),
            (sales, orders.report_environment),
        ):
            for name, value in variables.items():
                function.add_environment(name, value)
        sold.grant(sales, "dynamodb:PutItem")
        self.keep_refused(sales, orders.dead_letter_queue)
        self.keep_refused(relay, orders.relay.failure_queue)
        called_by(customer, "An API calls it, and its client is told what fails.")
        called_by(relay, "A stream's reader: what fails is named in its failure queue.")

        shopper = iam.Role(self, "Shopper", assumed_by=iam.AccountRootPrincipal())
        orders.grant_execute(shopper)
        of_any = orders.status_method.method_arn.replace("{id}", "*")
        acknowledge_wildcards(shopper, "The ids of requests are the clients' own.", of_any)
        signed_requests_only(orders.entry.api)
        self.outputs(
            ApiUrl=orders.entry.api.deployment_stage.url_for_path(),
            OrdersTableName=orders.table.table_name,
            RelayFunctionName=relay.function_name,
            FailureQueueUrl=orders.relay.failure_queue.queue_url,
            QueueUrl=orders.queue.queue_url,
            DeadLetterQueueUrl=orders.dead_letter_queue.queue_url,
            FrontFunctionName=customer.function_name,
            FunctionName=sales.function_name,
            TableName=sold.table_name,
            CustomerRoleArn=shopper.role_arn,
        )
