"""Messages that no retry can help go to the dead-letter queue, with their reason."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .messages import Message
    from .outcomes import Outcome

# Amazon SQS developer guide, "Amazon SQS message quotas"; a message's size is that of its body
# and its attributes' names, types and values.
MAX_ENTRIES = 10
MAX_BYTES = 1024**2
MAX_ATTRIBUTES = 10

REASON = "Reason"
REASON_DETAIL = "ReasonDetail"
ORIGINAL_MESSAGE_ID = "OriginalMessageId"


def send(letters: Iterable[tuple[Message, Outcome]]) -> dict[str, str]:
    """Send refused messages unmodified, with the reason; return error codes by message id.

    ``Reason``, ``OriginalMessageId`` and ``ReasonDetail`` join the attributes as far as SQS's
    limits leave room; the log has them all. A message that is sent again is in the queue twice.
    """
    entries = [_entry(message, outcome) for message, outcome in letters]
    return send_all(os.environ["DEAD_LETTER_QUEUE_URL"], entries) if entries else {}


def send_all(queue_url: str, entries: Iterable[Any]) -> dict[str, str]:
    """Send messages, as many a call as SQS takes; return error codes by id. See ``call_all``."""
    return call_all(aws.client("sqs").send_message_batch, queue_url, entries, _size_of_entry)


def call_all(
    call: Callable[..., Any],
    queue_url: str,
    entries: Iterable[Any],
    size: Callable[[Any], int] = lambda _: 0,
) -> dict[str, str]:
    """Call a batch operation of SQS for all entries, and again for those that it failed.

    Args:
        call: Such as the client's ``send_message_batch``.
        queue_url: Of the queue.
        entries: Each with an ``Id`` of its own.
        size: Returns how many bytes of a call an entry takes. Default: none.

    Returns:
        The error codes of the entries that failed twice, by their ids.
    """
    failed: dict[str, str] = {}
    for some in aws.batches(entries, most=MAX_ENTRIES, largest=MAX_BYTES, size=size):
        failed |= _call_twice(call, queue_url, some)
    return failed


def _call_twice(call: Callable[..., Any], queue_url: str, entries: list[Any]) -> dict[str, str]:
    codes: dict[str, str] = {}
    for _ in range(2):
        try:
            answer = call(QueueUrl=queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            return dict.fromkeys((entry["Id"] for entry in entries), aws.code(error))
        codes = {failure["Id"]: failure["Code"] for failure in answer.get("Failed", [])}
        entries = [entry for entry in entries if entry["Id"] in codes]
        if not entries:
            break
    return codes


def _entry(message: Message, outcome: Outcome) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": message.id,
        "MessageBody": message.body,
        "MessageAttributes": _attributes(message, outcome),
    }
    if message.trace_header:
        trace = {"DataType": "String", "StringValue": message.trace_header}
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": trace}
    if os.environ["DEAD_LETTER_QUEUE_URL"].endswith(".fifo"):
        entry["MessageGroupId"] = message.group_id or message.id
        entry["MessageDeduplicationId"] = message.id
    elif message.group_id:
        entry["MessageGroupId"] = message.group_id
    return entry


def _attributes(message: Message, outcome: Outcome) -> dict[str, Any]:
    ours = {
        REASON: outcome.reason,
        ORIGINAL_MESSAGE_ID: message.id,
        REASON_DETAIL: outcome.detail,
    }
    attributes = {
        name: _attribute(value) for name, value in message.attributes.items() if name not in ours
    }
    for name, text in ours.items():
        more = attributes | {name: {"DataType": "String", "StringValue": text}}
        if len(more) <= MAX_ATTRIBUTES and size_of(message.body, more) <= MAX_BYTES:
            attributes = more
    return attributes


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute of a Lambda event as one to send."""
    if value["dataType"].startswith("Binary"):
        return {
            "DataType": value["dataType"],
            "BinaryValue": base64.b64decode(value["binaryValue"]),
        }
    return {"DataType": value["dataType"], "StringValue": value["stringValue"]}


def _size_of_entry(entry: Mapping[str, Any]) -> int:
    return size_of(entry["MessageBody"], entry.get("MessageAttributes", {}))


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of a message with these attributes, as SQS counts them."""
    size = len(body.encode())
    for name, attribute in attributes.items():
        size += len(name) + len(attribute["DataType"])
        size += len(attribute.get("BinaryValue", b""))
        size += len(attribute.get("StringValue", "").encode())
    return size
