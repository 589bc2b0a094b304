"""Orders and order changes of an auto-parts shop: accepted by an API, processed later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, signed_requests_only
from ..blocks.values import seconds
from .construct import ApiGatewayToSqsToLambda, Consumer, Endpoint, NewApi, NewQueue, RequestField
from .schemas import ORDER, ORDER_CHANGE

if TYPE_CHECKING:
    from constructs import Construct


class DemoStack(ShopStack):
    """``POST /orders`` through a standard queue, ``POST /order-changes`` through a FIFO queue."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Table", "pk", "sk")
        store_orders = self.function("StoreOrders", "orders", TABLE_NAME=table.table_name)
        store_changes = self.function(
            "StoreOrderChanges", "order_changes", TABLE_NAME=table.table_name
        )
        api = NewApi(rate_limit=400, burst_limit=400, cloud_watch_role=self.sets_cloud_watch_role)

        orders = ApiGatewayToSqsToLambda(
            self,
            "Orders",
            endpoint=Endpoint("orders", schema=ORDER, api=api),
            consumer=Consumer(
                store_orders,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
        )
        changes = ApiGatewayToSqsToLambda(
            self,
            "OrderChanges",
            endpoint=Endpoint("order-changes", schema=ORDER_CHANGE, api=orders.entry.api),
            queue=NewQueue(fifo=True),
            message_group_id=RequestField.body("order_id"),
            deduplication_id=RequestField.header("Idempotency-Key"),
            consumer=Consumer(store_changes, max_concurrency=MAX_CONCURRENCY),
        )

        table.grant(store_orders, "dynamodb:PutItem")
        table.grant(store_changes, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        self.keep_refused(store_orders, orders.dead_letter_queue)
        self.keep_refused(store_changes, changes.dead_letter_queue)
        signed_requests_only(orders.entry.api)
        self.outputs(
            ApiUrl=orders.entry.api.deployment_stage.url_for_path(),
            QueueUrl=orders.queue.queue_url,
            DeadLetterQueueUrl=orders.dead_letter_queue.queue_url,
            FunctionName=store_orders.function_name,
            FifoQueueUrl=changes.queue.queue_url,
            FifoDeadLetterQueueUrl=changes.dead_letter_queue.queue_url,
            FifoFunctionName=store_changes.function_name,
            TableName=table.table_name,
        )
