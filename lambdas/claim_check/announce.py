"""S3 → SQS → SQS: sends the pointer to what was uploaded, once it is there.

S3 itself says that it is: a client that had to confirm its upload might crash before. An event
that comes twice makes two pointers to one body, of which the consumer takes one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import aws, batch, objects
from ..foundation.outcomes import Outcome, RefusedError
from . import wire

if TYPE_CHECKING:
    from ..foundation.messages import Message
    from .wire import Pointer

SENT = Outcome("sent")


def parse(message: Message) -> list[Pointer]:
    """Return the pointers to what a message says was uploaded; none in the test event of S3.

    Raises:
        RefusedError: it is no event of our bucket, or of an object that is no upload.
    """
    bucket = os.environ["BUCKET_NAME"]
    return [_pointer(event) for event in objects.parse(message, bucket)]


def _pointer(event: objects.ObjectEvent) -> Pointer:
    found = wire.Pointer(event.bucket, event.key, event.size)
    checked = wire.pointer(found.body, str(event.size), event.bucket, os.environ["PREFIX"])
    if checked is None or event.kind != "ObjectCreated":
        raise RefusedError("event", "The event is of no upload.")
    return checked


def work(pointers: list[Pointer], _: Message) -> Outcome:
    """Send the pointers of a message; one that was sent before it failed is sent again."""
    for pointer in pointers:
        size = {"DataType": "Number", "StringValue": str(pointer.size)}
        aws.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE_URL"],
            MessageBody=pointer.body,
            MessageAttributes={wire.SIZE: size},
        )
    return SENT


handler = batch.handler(parse, batch.one_by_one(work))
