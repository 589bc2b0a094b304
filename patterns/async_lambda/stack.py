"""Invoices of an auto-parts shop: asked for now, made in the background."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sqs as sqs

from ..foundation.findings import acknowledge
from ..foundation.functions import python_function
from ..foundation.layer import dependency_layer
from .construct import AsyncLambda

if TYPE_CHECKING:
    from constructs import Construct

VAT_RATES = {"AT": "0.20", "CZ": "0.21", "DE": "0.19", "FR": "0.20", "JP": "0.10", "SE": "0.25"}


class DemoStack(Stack):
    """Invoke ``FunctionName`` with an order; the invoice is in ``TableName`` soon after."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        issue_invoice = python_function(
            self,
            "IssueInvoice",
            handler="async_lambda.invoices.handler",
            layer=dependency_layer(self, "Dependencies"),
            timeout=Duration.seconds(30),
            environment={"TABLE_NAME": table.table_name, "VAT_RATES": json.dumps(VAT_RATES)},
        )
        table.grant(issue_invoice, "dynamodb:PutItem")

        # Whoever sends the invoices out reads this queue: number, sum and status of each.
        results = sqs.Queue(
            self, "Results", encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True
        )
        for rule in ("AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy"):
            acknowledge(
                results, rule, "Nothing consumes it in this stack: its consumer adds that queue."
            )

        invoices = AsyncLambda(self, "Invoices", function=issue_invoice, on_success=results)
        # What no retry can mend goes to the dead-letter queue at once, with its reason.
        issue_invoice.add_environment("DEAD_LETTER_QUEUE_URL", invoices.dead_letter_queue.queue_url)

        outputs = {
            "FunctionName": issue_invoice.function_name,
            "ResultQueueUrl": results.queue_url,
            "FailureQueueUrl": invoices.failure_queue.queue_url,
            "DeadLetterQueueUrl": invoices.dead_letter_queue.queue_url,
            "TableName": table.table_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
