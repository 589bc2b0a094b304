"""An event that no retry can help goes to the dead-letter queue, with its reason."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from ..foundation import aws

if TYPE_CHECKING:
    from ..foundation.outcomes import RefusedError

# Amazon SQS API reference, "SendMessage": characters that JSON may hold and a message may not.
_NOT_IN_A_MESSAGE = re.compile("[\ud800-\udfff\ufffe\uffff]")


def send(event: Any, error: RefusedError, request_id: str) -> None:
    """Send an event as it came, with the reason; an error here fails the run, so Lambda retries.

    ``RequestID`` is the attribute that Lambda's own dead letters have (AWS Lambda developer guide,
    "Adding a dead-letter queue"), so the redrive reads both alike.
    """
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    attributes = {"RequestID": request_id, "Reason": error.reason, "ReasonDetail": error.detail}
    aws.client("sqs").send_message(
        QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
        MessageBody=json.dumps(event) if _NOT_IN_A_MESSAGE.search(body) else body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )
