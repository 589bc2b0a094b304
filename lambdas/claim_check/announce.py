"""S3 → SQS → SQS: sends the pointers to what was uploaded, ten a call, once it is there.

S3 itself says that it is: a client that had to confirm its upload might crash before. An event
that comes twice makes two pointers to one body, of which the consumer takes one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import batch, dead_letters, objects
from ..foundation.outcomes import Outcome, RefusedError
from ..foundation.pointers import MAX_BYTES, Pointer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

SENT = Outcome("sent")


def parse(message: Message) -> list[Pointer]:
    """Return the pointers to what a message says was uploaded; none in the test event of S3.

    Raises:
        RefusedError: it is no event of our bucket, or of an object that is no upload.
    """
    return [_pointer(event) for event in objects.parse(message, os.environ["BUCKET_NAME"])]


def _pointer(event: objects.ObjectEvent) -> Pointer:
    if event.kind != "ObjectCreated" or not 1 <= event.size <= MAX_BYTES:
        raise RefusedError("event", "The event is of no upload.")
    return Pointer(event.bucket, event.key, event.size).check(event.bucket, os.environ["PREFIX"])


def write(parsed: Sequence[tuple[list[Pointer], Message]]) -> dict[str, Outcome]:
    """Send the pointers of all messages. One that fails is sent again with its whole message."""
    outcomes = {message.id: SENT for _, message in parsed}
    each = [(pointer, message) for pointers, message in parsed for pointer in pointers]
    entries = (_entry(str(number), pointer) for number, (pointer, _) in enumerate(each))
    failed = dead_letters.send_all(os.environ["QUEUE_URL"], entries)
    return outcomes | {each[int(it)][1].id: Outcome.failed(code) for it, code in failed.items()}


def _entry(id_: str, pointer: Pointer) -> dict[str, Any]:
    return {"Id": id_, "MessageBody": pointer.body, "MessageAttributes": pointer.attributes}


handler = batch.handler(parse, write)
