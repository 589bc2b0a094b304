"""Sends what an outbox holds to the queue ``QUEUE_URL``: ten a call, and those that fail again.

The order of things is that of every outbox: first a message is sent, then it is taken out of the
outbox. A relay that dies in between sends it again, and no message is lost.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from . import dead_letters
from .outcomes import RefusedError
from .statuses import attribute

if TYPE_CHECKING:
    from collections.abc import Iterable

# What SQS takes. Source:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_TAKEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check(body: str, most: int) -> None:
    """Reject a body that would stay in an outbox permanently.

    Raises:
        RefusedError: it has more than ``most`` bytes, or a character that SQS does not take.
    """
    if len(body.encode(errors="replace")) > most:
        raise RefusedError("size", f"The request has more than {most:,} bytes.")
    if _NOT_TAKEN.search(body):
        raise RefusedError("character", "The request has a character that the work does not take.")


def entry(id_: str, job: str, body: str) -> dict[str, Any]:
    """Return the message of a job, by an id of yours."""
    return {"Id": id_, "MessageBody": body, "MessageAttributes": attribute(job)}


def send(entries: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Send messages; return the error codes of those that the queue did not take, by id."""
    return dead_letters.send_all(os.environ["QUEUE_URL"], entries)
