"""Publishes events to a bus in full batches, and again those that fail inside a 200.

Functions that publish use it; other programs can, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .publishing import Published, send_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# Amazon EventBridge API reference, "PutEvents": below 1 MB, which may be a decimal one.
MAX_ENTRIES = 10
MAX_BYTES = 999_999
# Amazon EventBridge API reference, "PutEventsResultEntry": no retry can help.
REFUSALS = {
    "AccessDeniedException", "InvalidAccountIdException", "InvalidArgument", "MalformedDetail",
    "NotAuthorizedForDetailTypeException", "NotAuthorizedForSourceException", "RedactionFailure",
    "ValidationException",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """An event to publish; ``id`` is the sender's name for it, and is not sent."""

    id: str
    source: str
    detail_type: str
    detail: Mapping[str, Any]

    def entry(self, bus: str) -> dict[str, str]:
        """Return the event as PutEvents takes it."""
        return {
            "EventBusName": bus,
            "Source": self.source,
            "DetailType": self.detail_type,
            "Detail": json.dumps(self.detail, ensure_ascii=False, separators=(",", ":")),
        }


def publish(client: Any, bus: str, events: Iterable[Event], **options: Any) -> Published:
    """Publish events, in no order.

    EventBridge may take some entries of a batch and fail others, with HTTP 200: only those are sent
    again. An event whose answer is lost is published twice, so consumers must be idempotent.

    Args:
        client: boto3 client of EventBridge.
        bus: Its name or ARN.
        events: Each with an id of its own.
        options: ``attempts``, ``seconds_left`` and ``sleep``: see ``publishing.send_all``.
    """
    entries = {event.id: event.entry(bus) for event in events}
    limits: Any = {"most": MAX_ENTRIES, "largest": MAX_BYTES, "size": size}
    return send_all(entries, partial(_put, client), REFUSALS, **limits, **options)


def size(named: tuple[str, Mapping[str, str]]) -> int:
    """Return how many bytes of a batch an entry takes.

    Amazon EventBridge user guide, "Calculating PutEvents event entry size".
    """
    return sum(len(named[1][name].encode()) for name in ("Source", "DetailType", "Detail"))


def _put(
    client: Any, batch: Sequence[tuple[str, Mapping[str, str]]]
) -> Iterator[tuple[str, str, str]]:
    answer = client.put_events(Entries=[entry for _, entry in batch])
    for (id_, _), made in zip(batch, answer["Entries"], strict=True):
        code = made.get("ErrorCode")
        if code is None:
            yield id_, "accepted", made["EventId"]
        else:
            yield id_, "refused" if code in REFUSALS else "again", code
