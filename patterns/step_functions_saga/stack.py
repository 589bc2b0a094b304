"""Orders of an auto-parts shop: reserved, charged and shipped, or undone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb

from ..foundation.alarms import alarm_on_dead_letters
from ..foundation.consumers import consume
from ..foundation.findings import acknowledge
from ..foundation.functions import python_function
from ..foundation.layer import dependency_layer
from ..foundation.queues import QueueWithDeadLetterQueue
from .construct import StepFunctionsSaga
from .schemas import COUNTER_SALE, ORDER

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

FOLDER = Path(__file__).resolve().parent
CLOUD_WATCH_ROLE = "api-gateway-cloud-watch-role"


class DemoStack(Stack):
    """``POST /orders`` and a queue start a Standard saga, ``POST /counter-sales`` an Express one.

    Context ``api-gateway-cloud-watch-role=true`` also sets the account's role for API Gateway's
    logs; an account and region needs it once.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        orders, stock, accounts, shipments = (
            self._table(name) for name in ("Orders", "Stock", "Accounts", "Shipments")
        )
        self._layer = dependency_layer(self, "Dependencies")
        carrier_queue = QueueWithDeadLetterQueue(
            self, "CarrierQueue", visibility_timeout=Duration.seconds(61)
        )
        charge = self._function("Charge", "charge", ACCOUNTS_TABLE=accounts.table_name)
        refund = self._function("Refund", "refund", ACCOUNTS_TABLE=accounts.table_name)
        for function in (charge, refund):
            accounts.grant(function, "dynamodb:PutItem", "dynamodb:UpdateItem")
            acknowledge(
                function,
                "Serverless::Serverless-LambdaDLQ",
                "The state machine calls it and waits: it catches every failure itself.",
            )
        starter = self._function("StartOrders", "starter")

        saga = StepFunctionsSaga(
            self,
            "Fulfilment",
            definition=FOLDER / "order_fulfilment.asl.json",
            resources={
                "Orders": orders,
                "Stock": stock,
                "Charge": charge,
                "Refund": refund,
                "CarrierQueue": carrier_queue.queue,
            },
            path="orders",
            schema=ORDER,
            starter=starter,
            max_concurrency=2,
            cloud_watch_role=self.node.try_get_context(CLOUD_WATCH_ROLE) == "true",
        )
        counter_sales = StepFunctionsSaga(
            self,
            "CounterSales",
            definition=FOLDER / "counter_sale.asl.json",
            resources={"Orders": orders, "Stock": stock, "Charge": charge, "Refund": refund},
            express=True,
            path="counter-sales",
            schema=COUNTER_SALE,
            api=saga.api,
        )

        starter.add_environment("STATE_MACHINE_ARN", saga.state_machine.state_machine_arn)
        starter.add_environment("DEAD_LETTER_QUEUE_URL", saga.dead_letter_queue.queue_url)
        saga.dead_letter_queue.grant(starter, "sqs:SendMessage")
        # It compares an order with the one that was started under the same id.
        saga.grant_describe_execution(starter)
        carrier = self._carrier(carrier_queue, shipments, saga)
        for function in (starter, carrier):
            acknowledge(
                function,
                "Serverless::Serverless-LambdaDLQ",
                "A queue calls it, so the dead-letter queue is the queue's.",
            )
        for rule, reason in {
            "AwsSolutions::AwsSolutions-COG4": (
                "Callers sign their requests: the methods authorize by IAM."
            ),
            "AwsSolutions::AwsSolutions-APIG3": (
                "A firewall is the account's to choose and to pay; the API takes signed requests "
                "only."
            ),
        }.items():
            acknowledge(saga.api, rule, reason)

        assert saga.queue and saga.parked_queue and counter_sales.parked_queue  # noqa: S101, PT018
        outputs = {
            "ApiUrl": saga.api.deployment_stage.url_for_path(),
            "StateMachineArn": saga.state_machine.state_machine_arn,
            "ExpressStateMachineArn": counter_sales.state_machine.state_machine_arn,
            "QueueUrl": saga.queue.queue_url,
            "DeadLetterQueueUrl": saga.dead_letter_queue.queue_url,
            "ParkedQueueUrl": saga.parked_queue.queue_url,
            "ExpressParkedQueueUrl": counter_sales.parked_queue.queue_url,
            "CarrierQueueUrl": carrier_queue.queue.queue_url,
            "CarrierMappingId": self._carrier_mapping.event_source_mapping_id,
            "ChargeFunctionName": charge.function_name,
            "RefundFunctionName": refund.function_name,
            "CarrierFunctionName": carrier.function_name,
            "OrdersTableName": orders.table_name,
            "StockTableName": stock.table_name,
            "AccountsTableName": accounts.table_name,
            "ShipmentsTableName": shipments.table_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)

    def _carrier(
        self,
        queue: QueueWithDeadLetterQueue,
        shipments: dynamodb.Table,
        saga: StepFunctionsSaga,
    ) -> lambda_.Function:
        carrier = self._function(
            "Carrier",
            "carrier",
            SHIPMENTS_TABLE=shipments.table_name,
            QUEUE_URL=queue.queue.queue_url,
            DEAD_LETTER_QUEUE_URL=queue.dead_letter_queue.queue_url,
        )
        self._carrier_mapping = consume(
            self,
            "CarrierSource",
            queue=queue.queue,
            consumer=carrier,
            batch_size=50,
            max_batching_window=Duration.seconds(1),
            max_concurrency=2,
        )
        shipments.grant(carrier, "dynamodb:PutItem", "dynamodb:BatchWriteItem")
        queue.dead_letter_queue.grant(carrier, "sqs:SendMessage")
        saga.state_machine.grant_task_response(carrier)
        alarm_on_dead_letters(
            self, "CarrierDeadLetterAlarm", dead_letter_queue=queue.dead_letter_queue
        )
        return carrier

    def _function(self, construct_id: str, module: str, **environment: str) -> lambda_.Function:
        return python_function(
            self,
            construct_id,
            handler=f"step_functions_saga.{module}.handler",
            layer=self._layer,
            timeout=Duration.seconds(10),
            environment=environment,
        )

    def _table(self, construct_id: str) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
