"""Messages from SQS: what both queue handlers read, postpone, refuse and report."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from ..foundation import aws

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_sqs import SQSClient

    from ..foundation.outcomes import RefusedError

MAX_ENTRIES = 10

# Ids, outcomes and reasons only: no customer, address, price or body ever gets into a log line.
logger = Logger()


@functools.cache
def client() -> SQSClient:
    """Return the client, made on first use."""
    return boto3.client("sqs", config=aws.config())


def refuse(refused: Sequence[tuple[Mapping[str, Any], RefusedError]]) -> set[str]:
    """Send records to the dead-letter queue with the reason; return ids of those not taken."""
    not_taken: set[str] = set()
    for start in range(0, len(refused), MAX_ENTRIES):
        part = refused[start : start + MAX_ENTRIES]
        answer = client().send_message_batch(
            QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
            Entries=[
                {
                    "Id": record["messageId"],
                    "MessageBody": record["body"],
                    "MessageAttributes": {
                        "Reason": {"DataType": "String", "StringValue": error.reason},
                        "ReasonDetail": {"DataType": "String", "StringValue": error.detail},
                        "OriginalMessageId": {
                            "DataType": "String",
                            "StringValue": record["messageId"],
                        },
                    },
                }
                for record, error in part
            ],
        )
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        not_taken |= failed
        for record, error in part:
            if record["messageId"] not in failed:
                logger.warning("Refused", message_id=record["messageId"], reason=error.reason)
    return not_taken


def postpone(records: Sequence[Mapping[str, Any]], queue_url: str, seconds: int) -> None:
    """Let SQS deliver these records again soon, instead of after the visibility timeout."""
    for start in range(0, len(records), MAX_ENTRIES):
        client().change_message_visibility_batch(
            QueueUrl=queue_url,
            Entries=[
                {
                    "Id": record["messageId"],
                    "ReceiptHandle": record["receiptHandle"],
                    "VisibilityTimeout": seconds,
                }
                for record in records[start : start + MAX_ENTRIES]
            ],
        )
