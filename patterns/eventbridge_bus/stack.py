"""Orders of an auto-parts shop, published once: fulfilment, express, customs and finance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.findings import acknowledge
from ..blocks.values import seconds
from .construct import Consumer, Delivery, EventBridgeBus, NewBus

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

SOURCE, ORDER_PLACED = "shop.orders", "OrderPlaced"
ORDER = "$.detail.order"
# A new one is stored; a known one is a duplicate. Anything else is retried, then fails.
DECLARE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Declare",
    "States": {
        "Declare": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:putItem",
            "Arguments": {
                "TableName": "${Table}",
                "Item": {
                    "pk": {"S": "{% $states.input.order_id %}"},
                    "currency": {"S": "{% $states.input.currency %}"},
                    "total": {"S": "{% $states.input.total %}"},
                },
                "ConditionExpression": "attribute_not_exists(pk)",
            },
            "Retry": [
                {
                    "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                    "MaxAttempts": 0,
                },
                {
                    "ErrorEquals": ["States.ALL"],
                    "IntervalSeconds": 1,
                    "MaxAttempts": 5,
                    "BackoffRate": 2,
                    "JitterStrategy": "FULL",
                },
            ],
            "Catch": [
                {
                    "ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"],
                    "Next": "KnownAlready",
                }
            ],
            "End": True,
        },
        "KnownAlready": {"Type": "Succeed"},
    },
}


class DemoStack(ShopStack):
    """One event, four rules: a queue, a function, a state machine, and the bus of finance."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        orders = EventBridgeBus(self, "Orders")
        key = kms.Key(self, "Key", enable_key_rotation=True, removal_policy=RemovalPolicy.DESTROY)
        bus = NewBus(catch_all=False, encryption_key=key)
        finance = EventBridgeBus(self, "Finance", bus=bus)
        self._fulfilment(orders)
        self._express(orders)
        self._customs(orders)
        orders.add_target(
            "ToFinance", pattern=_placed(order={"currency": ["EUR"]}), target=finance.bus
        )
        self._ledger(finance, key)
        self._publisher(orders)
        assert orders.archive  # noqa: S101
        assert orders.unmatched_queue  # noqa: S101
        self.outputs(
            EventBusName=orders.bus.event_bus_name,
            ArchiveArn=orders.archive.attr_arn,
            UnmatchedQueueUrl=orders.unmatched_queue.queue_url,
        )

    def _fulfilment(self, bus: EventBridgeBus) -> None:
        """Store the orders in a table, in batches."""
        table = self.table("FulfilmentOrders", "pk")
        function = self.function("StoreFulfilment", "orders", TABLE_NAME=table.table_name)
        table.grant(function, "dynamodb:PutItem")
        route = bus.add_queue(
            "Fulfilment",
            pattern=_placed(),
            consumer=Consumer(
                function,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
            delivery=Delivery(input=events.RuleTargetInput.from_event_path(ORDER)),
        )
        self.keep_refused(function, route.dead_letter_queue)
        self.outputs(
            FulfilmentQueueUrl=route.queue.queue_url,
            FulfilmentDeadLetterQueueUrl=route.dead_letter_queue.queue_url,
            FulfilmentDeliveryDeadLetterQueueUrl=route.delivery_dead_letter_queue.queue_url,
            FulfilmentFunctionName=function.function_name,
            FulfilmentTableName=table.table_name,
            FulfilmentRuleArn=route.rule.rule_arn,
        )

    def _ledger(self, bus: EventBridgeBus, key: kms.IKey) -> None:
        """Let the events wait for finance, which reads the queue itself."""
        queue = sqs.Queue(self, "Ledger", encryption_master_key=key, enforce_ssl=True)
        reason = "Nothing consumes it in this stack: finance adds the dead-letter queue."
        nag = "AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy"
        for rule in (*nag, "EventLoss::I9107"):
            acknowledge(queue, rule, reason)
        bus.add_target("Ledger", pattern=_placed(), target=queue)
        self.outputs(LedgerQueueUrl=queue.queue_url)

    def _express(self, bus: EventBridgeBus) -> None:
        """Store express orders at once, each by a call of its own."""
        table = self.table("ExpressOrders", "pk")
        function = self.function("StoreExpress", "express", TABLE_NAME=table.table_name)
        table.grant(function, "dynamodb:PutItem")
        route = bus.add_target(
            "Express",
            pattern=_placed(service=["express"]),
            target=function,
            delivery=Delivery(input=events.RuleTargetInput.from_event_path(ORDER)),
        )
        assert route.failure_queue  # noqa: S101
        called_by(function, "Its failure destination keeps what it fails.")
        self.outputs(
            ExpressFunctionName=function.function_name,
            ExpressTableName=table.table_name,
            ExpressFailureQueueUrl=route.failure_queue.queue_url,
        )

    def _customs(self, bus: EventBridgeBus) -> None:
        """Declare orders from far away, by a state machine."""
        table = self.table("Declarations", "pk")
        machine = sfn.StateMachine(
            self,
            "Customs",
            definition_body=sfn.DefinitionBody.from_string(
                json.dumps(DECLARE).replace("arn:aws:", f"arn:{self.partition}:")
            ),
            definition_substitutions={"Table": table.table_name},
            timeout=seconds(300),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                level=sfn.LogLevel.ALL,
                include_execution_data=False,
                destination=logs.LogGroup(
                    self,
                    "CustomsLog",
                    retention=logs.RetentionDays.ONE_MONTH,
                    removal_policy=RemovalPolicy.DESTROY,
                ),
            ),
        )
        table.grant(machine, "dynamodb:PutItem")
        acknowledge(
            machine,
            "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
            "Log delivery and X-Ray have no resource to name.",
        )
        bus.add_target(
            "Declare",
            pattern=_placed(order={"currency": ["JPY", "KWD"]}),
            target=machine,
            delivery=Delivery(input=events.RuleTargetInput.from_event_path(ORDER)),
        )
        self.outputs(CustomsTableName=table.table_name, StateMachineArn=machine.state_machine_arn)

    def _publisher(self, bus: EventBridgeBus) -> lambda_.Function:
        """Let the web shop publish orders, and nothing else."""
        publish = self.function("Publish", "publish", EVENT_BUS_NAME=bus.bus.event_bus_name)
        bus.grant_put_events_to(publish, source=SOURCE, detail_types=[ORDER_PLACED])
        called_by(publish, "Its caller waits for the answer, and sends again what failed.")
        self.outputs(PublisherFunctionName=publish.function_name)
        return publish


def _placed(**detail: Any) -> events.EventPattern:
    """Return the pattern of orders that were placed, with a detail that says this."""
    return events.EventPattern(
        source=[SOURCE], detail_type=[ORDER_PLACED], detail=detail if detail else None
    )
