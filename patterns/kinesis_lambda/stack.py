"""The warehouse of an auto-parts shop: every movement of a part in order, and totals by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy

from ..blocks.demo import ShopStack, called_by
from ..blocks.queues import grant_send
from ..blocks.values import seconds
from .construct import KinesisToLambda, NewStream, StreamConsumer

if TYPE_CHECKING:
    from constructs import Construct

WHY_NO_QUEUE = "A stream's reader calls it; what fails is named in the reader's failure queue."


class DemoStack(ShopStack):
    """One reader keeps the stock, order by part; one totals what was sold, minute by minute."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        stream = NewStream(shard_count=2, removal_policy=RemovalPolicy.DESTROY)
        movements = KinesisToLambda(self, "Movements", stream=stream)

        stock_table = self.table("Stock", "pk", "sk")
        stock = self.function("KeepStock", "stock", timeout=60, TABLE_NAME=stock_table.table_name)
        stock_table.grant(stock, "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        reader = movements.add_consumer(
            "Stock", StreamConsumer(function=stock, parallelization_factor=4, retry_attempts=4)
        )
        stock.add_environment("DEAD_LETTER_QUEUE_URL", reader.failure_queue.queue_url)
        grant_send(reader.failure_queue, stock)
        called_by(stock, WHY_NO_QUEUE)

        totals_table = self.table("Totals", "pk", "sk")
        totals = self.function("TotalSales", "totals", TABLE_NAME=totals_table.table_name)
        totals_table.grant(totals, "dynamodb:PutItem")
        called_by(totals, WHY_NO_QUEUE)
        by_minute = movements.add_consumer(
            "Sales",
            StreamConsumer(function=totals, tumbling_window=seconds(60)),
        )
        self.outputs(
            StreamName=movements.stream.stream_name,
            FunctionName=stock.function_name,
            FailureQueueUrl=reader.failure_queue.queue_url,
            TableName=stock_table.table_name,
            TotalsFunctionName=totals.function_name,
            TotalsFailureQueueUrl=by_minute.failure_queue.queue_url,
            TotalsTableName=totals_table.table_name,
        )
