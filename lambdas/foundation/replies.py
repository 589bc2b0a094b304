"""Requests and answers on the wire: whom to answer, until when, and what an answer says.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import checks, strict_json
from .outcomes import RefusedError

if TYPE_CHECKING:
    from .messages import Message

# Message attributes. An answer has the correlation id alone.
REPLY_TO, CORRELATION_ID, DEADLINE = "ReplyTo", "CorrelationId", "Deadline"
HEARTBEAT = "Heartbeat"  # tag of an answer queue: when its requester was last alive, in Unix s
MAX_BYTES = 1024**2  # Amazon SQS developer guide, "Amazon SQS message quotas"
GONE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}  # codes of an error
OVERHEAD = 256  # bytes of an answer that its attributes count, and more
NAME_LENGTH = 16  # of what is a requester's own in the name of its answer queue
_OWN_NAME = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}")


@dataclass(frozen=True)
class Address:
    """Who waits for an answer.

    Args:
        queue: Name of the answer queue.
        id: Correlation id: the call that waits, and the name under which it has one effect.
    """

    queue: str
    id: str


@dataclass(frozen=True)
class Request:
    """A request that may be worked on.

    Args:
        to: Who waits for the answer.
        deadline: Until when, in milliseconds since 1970.
        document: What is asked.
        fingerprint: Tells the same request from another one under its id.
    """

    to: Address
    deadline: int
    document: Any
    fingerprint: str


def address(message: Message, prefix: str) -> Address:
    """Return who waits for the answer to a message.

    A sender could name any queue that the responder may send to, and have it fill that one. So the
    address is a name, never a URL, which could be of another account or Region; and the name is of
    a queue that only requesters make.

    Args:
        message: The request.
        prefix: With which the names of all answer queues begin.

    Raises:
        RefusedError: it names no answer queue, or has no valid correlation id.
    """
    queue = message.text(REPLY_TO)
    if not queue.startswith(prefix) or not _OWN_NAME.fullmatch(queue[len(prefix) :]):
        raise RefusedError("reply_to", f"{REPLY_TO} names no answer queue of this pattern.")
    return Address(queue, checks.identifier(message.text(CORRELATION_ID), CORRELATION_ID))


def request(message: Message, prefix: str) -> Request:
    """Return the request in a message.

    Raises:
        RefusedError: it cannot be answered, has no deadline, or is not JSON.
    """
    to, deadline = address(message, prefix), message.text(DEADLINE)
    if not re.fullmatch("[0-9]{1,15}", deadline):
        raise RefusedError("deadline", f"{DEADLINE} must be milliseconds since 1970.")
    document = strict_json.parse(message.body)
    return Request(to, int(deadline), document, strict_json.fingerprint(document))


def result(document: Any) -> str:
    """Return an answer that has a result, in ASCII: SQS does not take every character."""
    return json.dumps({"result": document})


def error(reason: str, detail: str) -> str:
    """Return an answer that says why there is no result."""
    return json.dumps({"error": {"reason": reason, "detail": detail}})


def read(answer: str) -> tuple[Any, tuple[str, str] | None]:
    """Return what an answer says: its result, or None with the reason and detail of an error.

    Raises:
        ValueError: it is no answer.
    """
    try:
        said = json.loads(answer)
    except RecursionError:
        raise ValueError("It is too deep.") from None
    if isinstance(said, dict) and "result" in said:
        return said["result"], None
    try:
        return None, (str(said["error"]["reason"]), str(said["error"]["detail"]))
    except (TypeError, KeyError):
        raise ValueError("It is no answer.") from None


def fitting(answer: str) -> str:
    """Return an answer, or in place of one that SQS would not take, one that says so."""
    if len(answer) + OVERHEAD <= MAX_BYTES:
        return answer
    return error("answer_size", "The answer is larger than a message of SQS may be.")


def attributes(reply_to: str, id_: str, until: float) -> dict[str, dict[str, str]]:
    """Return the attributes of a request that is answered to a queue, until then in Unix s."""
    said = {REPLY_TO: reply_to, CORRELATION_ID: id_, DEADLINE: str(int(until * 1000))}
    return {name: text(value) for name, value in said.items()}


def text(value: str) -> dict[str, str]:
    """Return a message attribute to send."""
    return {"DataType": "String", "StringValue": value}
