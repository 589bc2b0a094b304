"""Orders of an auto-parts shop, with four places where they are kept when something fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_sns as sns

from ..blocks.alarms import Alarms
from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.subscriptions import Subscription
from ..blocks.topic_subscribers import FunctionSubscriber
from ..blocks.topics import TopicSettings, new_source
from ..blocks.values import seconds
from .construct import Consumer, NewQueue, RedrivenQueue

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct


class DemoStack(ShopStack):
    """A queue that heals by itself, a FIFO queue, and a function that people and a topic call."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table, receipts = self.table("OrderTable", "pk"), self.table("ReceiptTable", "pk")
        redriver = self.function("Redrive", "redriver")
        called_by(redriver, "A run that fails is made up for by the next.")

        store = self._function("StoreOrders", "orders", table)
        orders = RedrivenQueue(
            self,
            "Orders",
            consumer=Consumer(
                store,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
            redriver=redriver,
        )
        self.keep_refused(store, orders.dead_letter_queue)

        store_in_turn = self._function("StoreCustomerOrders", "customer_orders", table)
        in_turn = RedrivenQueue(
            self,
            "CustomerOrders",
            queue=NewQueue(fifo=True),
            consumer=Consumer(store_in_turn, max_concurrency=MAX_CONCURRENCY),
        )
        self.keep_refused(store_in_turn, in_turn.dead_letter_queue)

        self._print_receipts(self._function("PrintReceipt", "receipts", receipts))
        self.outputs(
            QueueUrl=orders.queue.queue_url,
            DeadLetterQueueUrl=orders.dead_letter_queue.queue_url,
            OrdersFunctionName=store.function_name,
            RedriverFunctionName=redriver.function_name,
            FifoQueueUrl=in_turn.queue.queue_url,
            FifoDeadLetterQueueUrl=in_turn.dead_letter_queue.queue_url,
            CustomerOrdersFunctionName=store_in_turn.function_name,
            TableName=table.table_name,
            ReceiptsTableName=receipts.table_name,
        )

    def _function(self, name: str, module: str, table: dynamodb.Table) -> lambda_.Function:
        function = self.function(name, module, TABLE_NAME=table.table_name)
        table.grant(function, "dynamodb:PutItem")
        return function

    def _print_receipts(self, function: lambda_.Function) -> None:
        """Let a topic call the function; keep what it fails, and what SNS cannot deliver to it."""
        called_by(function, "A topic and people call it; its failure queue keeps what it fails.")
        alarms = Alarms().of_pattern(__name__)
        topic = sns.Topic(self, "OrderPlaced", enforce_ssl=True)
        receipts = FunctionSubscriber(self, "Receipts")
        receipts.subscribe_to(new_source(topic, TopicSettings()), function, Subscription(), alarms)
        assert receipts.failure_queue is not None  # noqa: S101 - nobody else keeps its failures
        self.outputs(
            FunctionName=function.function_name,
            FailureQueueUrl=receipts.failure_queue.queue_url,
            TopicArn=topic.topic_arn,
            UndeliveredQueueUrl=receipts.delivery_dead_letter_queue.queue_url,
        )
