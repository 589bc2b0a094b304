"""Orders of an auto-parts shop: placed once, for five subscribers; a sample of them for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnCondition, CfnParameter, Fn, RemovalPolicy
from aws_cdk import aws_sns as sns

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.values import seconds
from .construct import (
    Alarms,
    Alerts,
    Buffering,
    Consumer,
    Lake,
    NewBucket,
    SnsFanout,
    Subscription,
)

if TYPE_CHECKING:
    from constructs import Construct

EXPRESS = Subscription(
    filter_policy={"service": sns.SubscriptionFilter.string_filter(allowlist=["express"])}
)
EUR = sns.FilterOrPolicy.filter(sns.SubscriptionFilter.string_filter(allowlist=["EUR"]))
PAID_IN_EUR = Subscription(filter_policy_with_message_body={"currency": EUR})
ON_CALL = "on-call@example.com"


class DemoStack(ShopStack):
    """Queues for fulfilment and finance; an archive; a partner; a function for tests.

    Parameter ``PartnerEndpoint`` is the partner's URL, and context ``alert-email`` who is told of
    alarms. Without the URL nothing is subscribed: SNS rejects an endpoint that it cannot reach.
    """

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        told = self.node.try_get_context("alert-email") or ON_CALL
        alerts = Alerts(self, "Alerts", emails=[told])
        alarms = Alarms([alerts.action])
        orders = SnsFanout(self, "OrderPlaced", alarms=alarms)
        self._store("Fulfilment", orders, Subscription())
        self._store("Finance", orders, PAID_IN_EUR)
        self._replicate(orders, SnsFanout(self, "TestOrderPlaced", alarms=alarms))
        self._archive(orders, alerts)
        self._tell_the_partner(orders)
        self.outputs(TopicArn=orders.topic.topic_arn, AlertTopicArn=alerts.topic.topic_arn)

    def _tell_the_partner(self, orders: SnsFanout) -> None:
        given = CfnParameter(
            self,
            "PartnerEndpoint",
            default="",
            allowed_pattern="(https://.+)?",
            description="URL of the partner; it must be reachable. Without it there is no partner.",
        )
        url = given.value_as_string
        partner = orders.add_endpoint("Partner", url=url, subscription=EXPRESS)
        of_partner: Any = partner.subscription.node.default_child
        there = Fn.condition_not(Fn.condition_equals(url, ""))
        of_partner.cfn_options.condition = CfnCondition(self, "HasPartner", expression=there)
        undelivered = partner.delivery_dead_letter_queue
        self.outputs(PartnerDeliveryDeadLetterQueueUrl=undelivered.queue_url)

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
        undelivered = subscriber.delivery_dead_letter_queue
        self.keep_refused(function, subscriber.dead_letter_queue)
        self.outputs(
            **{
                f"{name}QueueUrl": subscriber.queue.queue_url,
                f"{name}DeadLetterQueueUrl": subscriber.dead_letter_queue.queue_url,
                f"{name}DeliveryDeadLetterQueueUrl": undelivered.queue_url,
                f"{name}FunctionName": function.function_name,
                f"{name}TableName": table.table_name,
            }
        )

    def _replicate(self, orders: SnsFanout, tests: SnsFanout) -> None:
        """Publish a sample of the orders again for tests, without what is about a person."""
        function = self.function("Replicate", "replicate", TOPIC_ARN=tests.topic.topic_arn)
        called_by(function, "A topic calls it; what it fails is kept in its failure queue.")
        tests.grant_publish(function)
        replica = orders.add_function("Replica", function=function, subscription=EXPRESS)
        assert replica.failure_queue is not None  # noqa: S101 - nobody else keeps its failures
        self.outputs(
            TestTopicArn=tests.topic.topic_arn,
            ReplicaFunctionName=function.function_name,
            ReplicaFailureQueueUrl=replica.failure_queue.queue_url,
            ReplicaDeliveryDeadLetterQueueUrl=replica.delivery_dead_letter_queue.queue_url,
        )

    def _archive(self, orders: SnsFanout, alerts: Alerts) -> None:
        archive = orders.add_archive(
            "Archive",
            bucket=NewBucket(removal_policy=RemovalPolicy.DESTROY),
            lake=Lake("orders/", "errors/", buffering=Buffering(interval=seconds(60))),
        )
        alerts.on_upload("NotArchived", bucket=archive.bucket, prefix="errors/")
        self.outputs(
            BucketName=archive.bucket.bucket_name,
            Prefix=archive.prefix,
            ArchiveDeliveryDeadLetterQueueUrl=archive.delivery_dead_letter_queue.queue_url,
        )
