"""What no retry can mend goes to the dead-letter queue, with its reason. Only this file sends."""

from __future__ import annotations

import functools
import json
import os
import re
from typing import TYPE_CHECKING, Any

import boto3

from ..foundation import aws

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from ..foundation.outcomes import RefusedError

# Amazon SQS API reference, "SendMessage": what JSON text may hold and a message may not.
_NOT_IN_A_MESSAGE = re.compile("[\ud800-\udfff\ufffe\uffff]")


@functools.cache
def client() -> SQSClient:
    """Return the client, made on first use."""
    return boto3.client("sqs", config=aws.config())


def send(event: Any, error: RefusedError, request_id: str) -> None:
    """Send an event as it came, with the reason; what fails here fails the run, so Lambda retries.

    ``RequestID`` is the attribute that Lambda's own dead letters have (AWS Lambda developer guide,
    "Adding a dead-letter queue"), so the redrive reads both alike.
    """
    attributes = {
        "RequestID": request_id,
        "Reason": error.reason,
        "ReasonDetail": error.detail,
    }
    client().send_message(
        QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
        MessageBody=_text(event),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )


def _text(event: Any) -> str:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(event) if _NOT_IN_A_MESSAGE.search(text) else text
