"""An auto-parts shop by the clock: a reminder for each order, an hourly report, the day's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy, TimeZone
from aws_cdk.aws_scheduler import ScheduleExpression, TimeWindow

from ..blocks.consumers import Consumer
from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.queues import NewQueue, SqsToLambda
from ..blocks.values import seconds
from .construct import Alarms, SchedulerToLambda

if TYPE_CHECKING:
    from constructs import Construct


class DemoStack(ShopStack):
    """Send when to remind of an order to ``QueueUrl``; the tick is in ``TableName`` at its time."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Ticks", "pk")
        run = self.function("Run", "ticks", TABLE_NAME=table.table_name)
        table.grant(run, "dynamodb:PutItem")
        called_by(run, "Scheduler calls it; its failed events are in the failure queue.")

        shop = SchedulerToLambda(self, "Shop", function=run, removal_policy=RemovalPolicy.DESTROY)
        shop.add_schedule(
            "StockReport",
            ScheduleExpression.cron(minute="0"),
            time_window=TimeWindow.flexible(seconds(900)),
            input={"kind": "stock-report"},
        )
        shop.add_schedule(
            "DayEnd",
            ScheduleExpression.cron(hour="18", minute="30", time_zone=TimeZone.EUROPE_BERLIN),
            input={"kind": "day-end"},
        )
        plan = self.function("Plan", "plan", SCHEDULE_REQUEST=shop.schedule_request)
        shop.grant_schedule(plan)
        changes = SqsToLambda(
            self,
            "Changes",
            consumer=Consumer(plan, batch_size=10, max_concurrency=MAX_CONCURRENCY),
            queue=NewQueue(fifo=True),
            alarms=Alarms().of_pattern(__name__),
        )
        self.keep_refused(plan, changes.dead_letter_queue)
        self.outputs(
            QueueUrl=changes.queue.queue_url,
            DeadLetterQueueUrl=changes.dead_letter_queue.queue_url,
            PlanFunctionName=plan.function_name,
            ScheduleGroupName=shop.schedule_group.schedule_group_name,
            FunctionName=run.function_name,
            TableName=table.table_name,
            UndeliveredQueueUrl=shop.dead_letter_queue.queue_url,
            FailureQueueUrl=shop.failure_queue.queue_url,
        )
