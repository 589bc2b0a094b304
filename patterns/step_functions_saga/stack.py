"""Orders of an auto-parts shop: reserved, charged and shipped, or undone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..blocks.consumers import Consumer
from ..blocks.demo import ShopStack, called_by, signed_requests_only
from ..blocks.queues import SqsToLambda
from ..blocks.values import seconds
from .construct import Alarms, Endpoint, NewApi, Saga, StepFunctionsSaga
from .schemas import COUNTER_SALE, ORDER

if TYPE_CHECKING:
    from constructs import Construct

FOLDER = Path(__file__).resolve().parent


class DemoStack(ShopStack):
    """``POST /orders`` and a queue start a Standard saga, ``/counter-sales`` an Express one."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        orders, stock, accounts, shipments = (
            self.table(name, "id") for name in ("Orders", "Stock", "Accounts", "Shipments")
        )
        charge, refund = (
            self.function(name, name.lower(), timeout=10, ACCOUNTS_TABLE=accounts.table_name)
            for name in ("Charge", "Refund")
        )
        for function in (charge, refund):
            accounts.grant(function, "dynamodb:PutItem", "dynamodb:UpdateItem")
            called_by(function, "The state machine waits for it, and catches every failure.")
        starter = self.function("StartOrders", "starter")
        carrier = self.function("Carrier", "carrier", SHIPMENTS_TABLE=shipments.table_name)
        batches = Consumer(
            carrier, batch_size=50, max_batching_window=seconds(1), max_concurrency=2
        )
        shipping = SqsToLambda(
            self, "Shipping", consumer=batches, alarms=Alarms().of_pattern(__name__)
        )

        resources: Any = {"Orders": orders, "Stock": stock, "Charge": charge, "Refund": refund}
        fulfilment = StepFunctionsSaga(
            self,
            "Fulfilment",
            saga=Saga(
                definition=FOLDER / "order_fulfilment.asl.json",
                resources={**resources, "CarrierQueue": shipping.queue},
            ),
            endpoint=Endpoint(
                "orders", schema=ORDER, api=NewApi(cloud_watch_role=self.sets_cloud_watch_role)
            ),
            starter=Consumer(starter, max_concurrency=2),
        )
        counter_sales = StepFunctionsSaga(
            self,
            "CounterSales",
            saga=Saga(definition=FOLDER / "counter_sale.asl.json", resources=resources),
            express=True,
            endpoint=Endpoint("counter-sales", schema=COUNTER_SALE, api=fulfilment.entry.api),
        )

        starter.add_environment("STATE_MACHINE_ARN", fulfilment.state_machine.state_machine_arn)
        # It compares an order with the one that was started under the same id.
        fulfilment.grant_describe_execution(starter)
        carrier.add_environment("QUEUE_URL", shipping.queue.queue_url)
        shipments.grant(carrier, "dynamodb:PutItem", "dynamodb:BatchWriteItem")
        fulfilment.state_machine.grant_task_response(carrier)
        assert fulfilment.intake and fulfilment.parked_queue and counter_sales.parked_queue  # noqa: S101, PT018
        self.keep_refused(starter, fulfilment.intake.dead_letter_queue)
        self.keep_refused(carrier, shipping.dead_letter_queue)
        signed_requests_only(fulfilment.entry.api)
        self.outputs(
            ApiUrl=fulfilment.entry.api.deployment_stage.url_for_path(),
            StateMachineArn=fulfilment.state_machine.state_machine_arn,
            ExpressStateMachineArn=counter_sales.state_machine.state_machine_arn,
            QueueUrl=fulfilment.intake.queue.queue_url,
            DeadLetterQueueUrl=fulfilment.intake.dead_letter_queue.queue_url,
            ParkedQueueUrl=fulfilment.parked_queue.queue_url,
            ExpressParkedQueueUrl=counter_sales.parked_queue.queue_url,
            CarrierQueueUrl=shipping.queue.queue_url,
            CarrierMappingId=shipping.event_source_mapping.event_source_mapping_id,
            ChargeFunctionName=charge.function_name,
            RefundFunctionName=refund.function_name,
            CarrierFunctionName=carrier.function_name,
            OrdersTableName=orders.table_name,
            StockTableName=stock.table_name,
            AccountsTableName=accounts.table_name,
            ShipmentsTableName=shipments.table_name,
        )
