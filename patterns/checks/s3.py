"""Amazon S3 event notifications."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_plus

from . import period

_ENCODED = re.compile(r"([\w/!.*'()+-]|%[0-9A-Fa-f]{2})*", re.ASCII)
DAY = 86_400


@dataclass(frozen=True)
class Filter:
    """Which events of which objects a notification is about.

    Attributes:
        events: As S3 names them, such as ``s3:ObjectCreated:*``.
        prefix: How the keys begin. Default: in any way.
        suffix: How they end. Default: in any way.
    """

    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""

    def __str__(self) -> str:
        return f"{', '.join(self.events)} of '{self.prefix}*{self.suffix}'"


def fifo_target(bucket: object, target: object) -> str:
    """A bucket notifies standard queues and topics only.

    Lint E9132. Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """
    return (
        f"{bucket} notifies {target}, which is FIFO: S3 does not support that. Use a standard "
        "queue or topic, or go through EventBridge."
    )


def overlapping(bucket: object, one: Filter, other: Filter) -> str | None:
    """No two notifications of a bucket are about the same event of the same object.

    Lint E9206. Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    same_event = any(_covers(a, b) or _covers(b, a) for a in one.events for b in other.events)
    prefix = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffix = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    if not (same_event and prefix and suffix):
        return None
    return (
        f"{bucket} has two notifications for the same event of the same object, for {one} and for "
        f"{other}: S3 rejects that. Make the prefixes or the suffixes exclude each other, or go "
        "through EventBridge, whose rules may overlap."
    )


def _covers(pattern: str, event: str) -> bool:
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


def wildcard(name: object, end: str, *, suffix: bool = False) -> str | None:
    """A prefix does not end with *, and a suffix does not begin with it: it would be a character.

    Lint W9205. Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    if (end[:1] if suffix else end[-1:]) != "*":
        return None
    return (
        f"{name} is {end!r}, but S3 compares * with itself, so no object would match. Leave the * "
        "out: a prefix matches what begins so, a suffix what ends so."
    )


def unencoded(name: object, end: str) -> str | None:
    """A filter is URL-encoded, as S3 compares it. The constructs encode theirs by ``encoded``.

    A + is not found: it is a blank, unless somebody means a plus.

    Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    if _ENCODED.fullmatch(end):
        return None
    return (
        f"{name} is {end!r}, but S3 compares filters with keys that are URL-encoded, so no object "
        f"would match. Write {encoded(end)!r}: a blank is +, and what is special is %XX."
    )


def encoded(end: str) -> str:
    """Return a prefix or suffix as S3 compares it: a blank is +, what is special is %XX."""
    return quote_plus(end, safe="/!_.*'()-").replace("~", "%7E")


def loop(name: object, results: str, watched: Filter) -> str | None:
    """What a consumer writes into the bucket does not invoke it again.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html
    """
    apart = not (results.startswith(watched.prefix) or watched.prefix.startswith(results))
    if apart:
        return None
    return (
        f"{name} is {results!r}, but {watched} is watched: what the consumer writes there would "
        "invoke it again, without end. Write the results below another prefix, or to another "
        "bucket."
    )


def versions_of_bodies(bucket: object) -> str:
    """What is deleted is gone: with versions, S3 only hides it.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
    """
    return (
        f"{bucket} has versions, so S3 would hide each body that is deleted, and keep it. Give a "
        "bucket without versions."
    )


def expires_before_read(objects: object, kept: float, queue: object, waits: float) -> str | None:
    """Objects outlive the messages about them.

    ``waits`` are the seconds that a message may be in the queue and in its dead-letter queue.

    Lint W9218. Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-expire-general-considerations.html
    """
    if kept > waits:
        return None
    return (
        f"{objects} expire after {period(kept)}, but a message about one may wait for "
        f"{period(waits)} in {queue} and its dead-letter queue: its object would be gone. Keep "
        f"objects for more than {period(waits)}."
    )
