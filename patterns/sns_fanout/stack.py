"""Orders of an auto-parts shop: placed once, for fulfilment, express dispatch and finance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_sns as sns

from ..blocks.demo import MAX_CONCURRENCY, ShopStack
from ..blocks.values import seconds
from .construct import Consumer, SnsFanout, Subscription

if TYPE_CHECKING:
    from constructs import Construct

EXPRESS = sns.SubscriptionFilter.string_filter(allowlist=["express"])
EURO = sns.SubscriptionFilter.string_filter(allowlist=["EUR"])


class DemoStack(ShopStack):
    """Fulfilment takes every order, express by an attribute, finance those in euros by the body."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        orders = SnsFanout(self, "OrderPlaced")
        self._store("Fulfilment", orders, Subscription())
        self._store("Express", orders, Subscription(filter_policy={"service": EXPRESS}))
        by_body = {"currency": sns.FilterOrPolicy.filter(EURO)}
        self._store("Finance", orders, Subscription(filter_policy_with_message_body=by_body))
        self.outputs(TopicArn=orders.topic.topic_arn)

    def _store(self, name: str, orders: SnsFanout, subscription: Subscription) -> None:
        table = self.table(f"{name}Orders", "pk")
        function = self.function(f"Store{name}", "orders", TABLE_NAME=table.table_name)
        table.grant(function, "dynamodb:PutItem")
        subscriber = orders.add_queue(
            name,
            consumer=Consumer(
                function,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
            subscription=subscription,
        )
        self.keep_refused(function, subscriber.dead_letter_queue)
        self.outputs(
            **{
                f"{name}QueueUrl": subscriber.queue.queue_url,
                f"{name}DeadLetterQueueUrl": subscriber.dead_letter_queue.queue_url,
                f"{name}DeliveryDeadLetterQueueUrl": (
                    subscriber.delivery_dead_letter_queue.queue_url
                ),
                f"{name}FunctionName": function.function_name,
                f"{name}TableName": table.table_name,
            }
        )
