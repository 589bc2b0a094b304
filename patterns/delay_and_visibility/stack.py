"""Orders of an auto-parts shop that wait: for their time, for a closed warehouse, for a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.values import seconds
from .construct import Backoff, Consumer, DelayedQueue, Later, NewQueue, Worker

if TYPE_CHECKING:
    from constructs import Construct

BACKOFF = Backoff(first=seconds(2), longest=seconds(900))
LATER = Later(removal_policy=RemovalPolicy.DESTROY)
# A minute after they were placed, orders cannot be canceled any more; here, five seconds.
ORDERS = NewQueue(delivery_delay=seconds(5), max_receive_count=12)
IN_ORDER = NewQueue(fifo=True, content_based_deduplication=True, max_receive_count=12)


class DemoStack(ShopStack):
    """A queue of orders, one that keeps their order, and one of jobs that take up to an hour."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._orders("", ORDERS, batch_size=10)
        self._orders("Fifo", IN_ORDER, batch_size=1)
        self._imports()

    def _orders(self, name: str, queue: NewQueue, batch_size: int) -> None:
        table = self.table(f"{name}StoredOrders", "pk")
        store = self.function(f"{name}Store", "orders", TABLE_NAME=table.table_name)
        table.grant(store, "dynamodb:PutItem")
        made = DelayedQueue(
            self,
            f"{name}Orders",
            consumer=Consumer(store, batch_size=batch_size, max_concurrency=MAX_CONCURRENCY),
            queue=queue,
            backoff=BACKOFF,
            later=LATER,
        )
        for variable, value in made.environment.items():
            store.add_environment(variable, value)
        self.keep_refused(store, made.dead_letter_queue)
        send = self.function(f"{name}Send", "send", timeout=30, **made.sender_environment)
        called_by(send, "A program calls it, waits for the answer, and sends again what failed.")
        made.grant_send_messages(send)
        self.outputs(
            **{
                f"{name}QueueUrl": made.queue.queue_url,
                f"{name}DeadLetterQueueUrl": made.dead_letter_queue.queue_url,
                f"{name}FunctionName": store.function_name,
                f"{name}SendFunctionName": send.function_name,
                f"{name}TableName": table.table_name,
            }
        )

    def _imports(self) -> None:
        """Make the queue of jobs; where the worker runs, such as on Fargate, is yours to choose."""
        table = self.table("Imports", "pk")
        role = iam.Role(
            self, "WorkerRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        )
        table.grant(role, "dynamodb:GetItem", "dynamodb:PutItem")
        jobs = DelayedQueue(self, "Jobs", consumer=Worker(), backoff=BACKOFF)
        jobs.grant_consume_messages(role)
        self.outputs(
            JobQueueUrl=jobs.queue.queue_url,
            JobDeadLetterQueueUrl=jobs.dead_letter_queue.queue_url,
            JobTableName=table.table_name,
            WorkerRoleArn=role.role_arn,
        )
