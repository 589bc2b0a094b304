"""What the events of a bucket say, whichever way they came: a notification, or EventBridge.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from . import strict_json
from .outcomes import RefusedError

if TYPE_CHECKING:
    from .messages import Message

WIDEST_SEQUENCER = 64
MAX_KEY_BYTES = 1024
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,512}")  # a version's id, or an entity tag
_SEQUENCER = re.compile(rf"[0-9A-Fa-f]{{1,{WIDEST_SEQUENCER}}}")
_DETAIL_TYPES = {"Object Created": "ObjectCreated", "Object Deleted": "ObjectRemoved"}


@dataclass(frozen=True)
class ObjectEvent:
    """What has happened to an object.

    Attributes:
        kind: ``ObjectCreated``, ``ObjectRemoved``, or another of S3's names.
        detail: The rest of S3's name, such as ``Put`` or ``DeleteMarkerCreated``.
        bucket: Name of the bucket, as the event claims it.
        key: The object's key, decoded.
        version: Its version; "" in a bucket without versions.
        etag: Of its content; "" for one that is removed.
        at: When, in milliseconds since 1970.
        sequencer: Greater for a later event of the same key; None for what a sweep found.
        size: Bytes of its content; 0 for one that is removed, or that a sweep found.
    """

    kind: str
    detail: str
    bucket: str
    key: str
    version: str
    etag: str
    at: int
    sequencer: str | None
    size: int = 0

    @property
    def id(self) -> str:
        """What is the same for every event of one upload: its version, or else its content."""
        return self.version or f"etag-{self.etag}"


def parse(message: Message, bucket: str) -> list[ObjectEvent]:
    """Return the events in a message; see ``events_in``."""
    return events_in(strict_json.parse(message.body), bucket)


def events_in(body: Any, bucket: str) -> list[ObjectEvent]:
    """Return the events in a notification; none in the test event that S3 sends when connected.

    Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Args:
        body: As S3 or EventBridge sent it, parsed.
        bucket: Name of the only bucket whose events are good: a notification may claim any.

    Raises:
        RefusedError: it is no event of the bucket.
    """
    try:
        if body.get("Event") == "s3:TestEvent":
            return []
        of_rule = body.get("source") == "aws.s3"
        found = [_of_rule(body)] if of_rule else [_of_record(one) for one in body["Records"]]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise RefusedError("event", "The body is not an event of S3.") from None
    if not all(map(_is_possible, found)):
        raise RefusedError("event", "The body names an object that S3 cannot have.")
    if any(one.bucket != bucket for one in found):
        raise RefusedError("bucket", "The event is of another bucket.")
    return found


def _is_possible(event: ObjectEvent) -> bool:
    """Whether S3 could have such an object: a request for another one would fail, each time."""
    named = all(isinstance(text, str) for text in (event.key, event.version, event.etag))
    return (
        named
        and 1 <= len(event.key.encode()) <= MAX_KEY_BYTES
        and all(not text or _TOKEN.fullmatch(text) for text in (event.version, event.etag))
        and bool(event.kind == "ObjectRemoved" or event.version or event.etag)
    )


def sequence(text: str | None) -> str | None:
    """Return a sequencer so that text compares as S3 says: filled up with zeros at its right.

    Source: https://repost.aws/knowledge-center/s3-duplicate-sqs-messages

    Raises:
        ValueError: it is not hexadecimal.
    """
    if text is None:
        return None
    if not _SEQUENCER.fullmatch(text):
        raise ValueError("not hexadecimal")
    return text.upper().ljust(WIDEST_SEQUENCER, "0")


def _of_record(record: Any) -> ObjectEvent:
    kind, _, detail = record["eventName"].removeprefix("s3:").partition(":")
    one = record["s3"]["object"]
    return ObjectEvent(
        kind="ObjectRemoved" if kind == "LifecycleExpiration" else kind,
        detail=detail,
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(one["key"], errors="strict"),
        version=one.get("versionId", ""),
        etag=one.get("eTag", ""),
        at=_milliseconds(record["eventTime"]),
        sequencer=sequence(one.get("sequencer")),
        size=int(one.get("size", 0)),
    )


def _of_rule(event: Any) -> ObjectEvent:
    detail = event["detail"]
    one = detail["object"]
    return ObjectEvent(
        kind=_DETAIL_TYPES.get(event["detail-type"], event["detail-type"]),
        detail=detail.get("deletion-type", "").replace(" ", ""),
        bucket=detail["bucket"]["name"],
        key=one["key"],  # unlike a notification's, as it is
        version=one.get("version-id", ""),
        etag=one.get("etag", ""),
        at=_milliseconds(event["time"]),
        sequencer=sequence(one.get("sequencer")),
        size=int(one.get("size", 0)),
    )


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
