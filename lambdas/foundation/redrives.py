"""Moves dead letters to a queue: each counts its redrives, and a FIFO group keeps its order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws
from .dead_letters import (
    MAX_ATTRIBUTES,
    MAX_BYTES,
    MAX_ENTRIES,
    ORIGINAL_MESSAGE_ID,
    REASON,
    REASON_DETAIL,
    size_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Message = Mapping[str, Any]  # as ReceiveMessage returns it

REDRIVES = "Redrives"  # attribute: how often the message was redriven
MAX_DIGITS = 9  # of it: a sender may write anything there
BEHIND = "behind one of its group that was not accepted"
# What a consumer added when it rejected the message; a new rejection has its own.
OF_REJECTION = (REASON, REASON_DETAIL, ORIGINAL_MESSAGE_ID)


def times(message: Message) -> int:
    """Return how often a message was redriven."""
    said = message.get("MessageAttributes", {}).get(REDRIVES, {}).get("StringValue", "0")
    return int(said[:MAX_DIGITS]) if said.isdecimal() else 0


def has_room(message: Message) -> bool:
    """Whether SQS's limits leave a message room for the count of its redrives."""
    more = _counted(message)
    return len(more) <= MAX_ATTRIBUTES and size_of(message["Body"], more) <= MAX_BYTES


def move(sqs: Any, url: str, messages: Sequence[Message]) -> dict[str, str]:
    """Send messages to a queue; return why some were not accepted, by message id.

    Body, attributes, group and trace stay; ``Redrives`` joins the attributes as far as SQS's limits
    leave room. In a FIFO queue a message is sent after those of its group before it, and not if one
    of them was not accepted.

    Args:
        sqs: Client.
        url: Of the queue to send to.
        messages: As ReceiveMessage returns them, with all attributes, in their order.
    """
    failed: dict[str, str] = {}
    stopped: set[str] = set()
    for some in _rounds(messages) if url.endswith(".fifo") else [messages]:
        go_on = [one for one in some if _group(one) not in stopped]
        failed |= dict.fromkeys((one["MessageId"] for one in some if one not in go_on), BEHIND)
        entries = [_entry(str(number), one, url) for number, one in enumerate(go_on)]
        for batch in aws.batches(entries, most=MAX_ENTRIES, largest=MAX_BYTES, size=_size):
            for number, code in _send(sqs, url, batch).items():
                failed[go_on[number]["MessageId"]] = code
                stopped.add(_group(go_on[number]))
    return failed


def _rounds(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield the first message of each group, then the second of each, and so on."""
    groups: dict[str, list[Message]] = {}
    for message in messages:
        groups.setdefault(_group(message), []).append(message)
    for place in range(max(map(len, groups.values()), default=0)):
        yield [group[place] for group in groups.values() if place < len(group)]


def _group(message: Message) -> str:
    """Return a message's group; one without is alone."""
    return str(message["Attributes"].get("MessageGroupId") or message["MessageId"])


def _send(sqs: Any, url: str, entries: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    try:
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    except (ClientError, BotoCoreError) as error:
        return dict.fromkeys((int(entry["Id"]) for entry in entries), aws.code(error))
    return {int(failure["Id"]): failure["Code"] for failure in answer.get("Failed", [])}


def _entry(id_: str, message: Message, url: str) -> dict[str, Any]:
    kept = _counted(message) if has_room(message) else _kept(message)
    system = message["Attributes"]
    entry = {"Id": id_, "MessageBody": message["Body"], "MessageAttributes": kept}
    if trace := system.get("AWSTraceHeader"):
        header = {"DataType": "String", "StringValue": trace}
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": header}
    if url.endswith(".fifo"):
        entry["MessageGroupId"] = _group(message)
        # Not the one it had, or SQS would treat the message as a duplicate of itself; and the same
        # one each time this dead letter is sent, as after a crash.
        digest = hashlib.sha256(f"redrive {message['MessageId']}".encode())
        entry["MessageDeduplicationId"] = digest.hexdigest()
    elif group := system.get("MessageGroupId"):
        entry["MessageGroupId"] = group
    return entry


def _kept(message: Message) -> dict[str, Any]:
    given = message.get("MessageAttributes", {})
    return {name: value for name, value in given.items() if name not in OF_REJECTION}


def _counted(message: Message) -> dict[str, Any]:
    count = {"DataType": "Number", "StringValue": str(times(message) + 1)}
    return _kept(message) | {REDRIVES: count}


def _size(entry: Mapping[str, Any]) -> int:
    return size_of(entry["MessageBody"], entry["MessageAttributes"])
