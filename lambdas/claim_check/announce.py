"""S3 → SQS → SQS: sends the pointer to what was uploaded, once it is there.

S3 itself says that it is: a client that had to confirm its upload might crash before. An event
that comes twice makes two pointers to one body, of which the consumer takes one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import aws, batch, dead_letters, objects
from ..foundation.outcomes import Outcome, RefusedError
from . import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message
    from .wire import Pointer

SENT = Outcome("sent")
MAX_ENTRIES = 10  # Amazon SQS API reference, "SendMessageBatch"


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


def write(parsed: Sequence[tuple[list[Pointer], Message]]) -> dict[str, Outcome]:
    """Send the pointers of all messages, ten a call; a message is done when all of its are sent."""
    outcomes = {message.id: SENT for _, message in parsed}
    every = [(pointer, message.id) for pointers, message in parsed for pointer in pointers]
    for some in aws.batches(every, most=MAX_ENTRIES):
        entries = [_entry(str(number), pointer) for number, (pointer, _) in enumerate(some)]
        failed = dead_letters.send_batch(os.environ["QUEUE_URL"], entries)
        outcomes |= {some[int(number)][1]: Outcome.failed(code) for number, code in failed.items()}
    return outcomes


def _entry(id_: str, pointer: Pointer) -> dict[str, Any]:
    size = {"DataType": "Number", "StringValue": str(pointer.size)}
    return {"Id": id_, "MessageBody": pointer.body, "MessageAttributes": {wire.SIZE: size}}


handler = batch.handler(parse, write)
