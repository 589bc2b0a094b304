"""Publishes events to a topic in full batches, and again those that fail inside a 200.

Functions that publish use it; other programs can, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .publishing import Published, send_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Amazon SNS API reference, "PublishBatch".
MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
# Codes of a call that no retry can help; of an entry, SNS says whether the sender is at fault.
SENDERS_FAULTS = (
    "InvalidParameter", "InvalidParameterValue", "ValidationError", "BatchRequestTooLong",
    "InvalidParameterException", "ParameterValueInvalid",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """An event to publish.

    Attributes:
        id: The sender's name for it, which is not sent.
        message: What is published.
        attributes: Strings by which subscriptions filter. Default: none.
    """

    id: str
    message: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """Return the event as PublishBatch takes it, without ``Id``."""
        said = {
            name: {"DataType": "String", "StringValue": text}
            for name, text in self.attributes.items()
        }
        return {"Message": self.message} | ({"MessageAttributes": said} if said else {})


def publish(
    client: Any,
    topic_arn: str,
    events: Iterable[Event],
    *,
    largest: int = MAX_BYTES,
    **options: Any,
) -> Published:
    """Publish events to a standard topic, in no order.

    SNS may take some entries of a batch and fail others, with HTTP 200: only those are sent again.
    An event whose answer is lost is published twice, so consumers must be idempotent.

    Args:
        client: boto3 client of SNS.
        topic_arn: A standard topic; to a FIFO topic, see ``lambdas/sns_fifo_fanout/publisher.py``.
        events: Each with an id of its own.
        largest: Bytes of a batch: the topic's maximum message size. Default: 256 KiB.
        options: ``attempts``, ``seconds_left`` and ``sleep``: see ``publishing.send_all``.
    """
    entries, call = {event.id: event.entry() for event in events}, partial(put, client, topic_arn)
    limits: Any = {"most": MAX_ENTRIES, "largest": largest, "size": size}
    return send_all(entries, call, SENDERS_FAULTS, **limits, **options)


def put(
    client: Any, topic_arn: str, batch: Sequence[tuple[str, Mapping[str, Any]]]
) -> Iterator[tuple[str, str, str]]:
    """Publish one batch; yield for each entry what ``publishing.send`` wants to know."""
    entries = [{"Id": str(number), **entry} for number, (_, entry) in enumerate(batch)]
    answer = client.publish_batch(TopicArn=topic_arn, PublishBatchRequestEntries=entries)
    for one in answer.get("Successful", []):
        yield batch[int(one["Id"])][0], "accepted", one["MessageId"]
    for one in answer.get("Failed", []):
        outcome = "refused" if one["SenderFault"] else "again"
        yield batch[int(one["Id"])][0], outcome, one["Code"]


def size(named: tuple[str, Mapping[str, Any]]) -> int:
    """Return how many bytes of a batch an entry takes, its attributes among them."""
    said = named[1].get("MessageAttributes", {})
    parts = [text for name, one in said.items() for text in (name, *one.values())]
    return sum(len(text.encode()) for text in (named[1]["Message"], *parts))
