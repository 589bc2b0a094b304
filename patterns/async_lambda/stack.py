"""Invoices of an auto-parts shop: asked for now, made in the background."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_sqs as sqs

from ..blocks.demo import ShopStack
from ..blocks.findings import acknowledge
from .construct import AsyncLambda

if TYPE_CHECKING:
    from constructs import Construct

VAT_RATES = {"AT": "0.20", "CZ": "0.21", "DE": "0.19", "FR": "0.20", "JP": "0.10", "SE": "0.25"}


class DemoStack(ShopStack):
    """Invoke ``FunctionName`` with an order; the invoice is in ``TableName`` soon after."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Table", "pk")
        issue_invoice = self.function(
            "IssueInvoice",
            "invoices",
            TABLE_NAME=table.table_name,
            VAT_RATES=json.dumps(VAT_RATES),
        )
        table.grant(issue_invoice, "dynamodb:PutItem")
        results = self._results()

        invoices = AsyncLambda(self, "Invoices", function=issue_invoice, on_success=results)
        # What no retry can fix goes to the dead-letter queue at once, with its reason.
        issue_invoice.add_environment("DEAD_LETTER_QUEUE_URL", invoices.dead_letter_queue.queue_url)
        self.outputs(
            FunctionName=issue_invoice.function_name,
            ResultQueueUrl=results.queue_url,
            FailureQueueUrl=invoices.failure_queue.queue_url,
            DeadLetterQueueUrl=invoices.dead_letter_queue.queue_url,
            TableName=table.table_name,
        )

    def _results(self) -> sqs.Queue:
        """Make the queue for the team that sends the invoices: number, sum and status of each."""
        results = sqs.Queue(
            self, "Results", encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True
        )
        reason = "Nothing consumes it in this stack: its consumer adds that queue."
        nag = "AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy"
        for rule in (*nag, "EventLoss::I9107"):
            acknowledge(results, rule, reason)
        return results
