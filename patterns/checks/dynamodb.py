"""Streams of DynamoDB tables whose changes a reader never gets, or too late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..limits import DYNAMODB_GLOBAL_STREAM_READERS, DYNAMODB_STREAM_READERS

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGES = {
    "KEYS_ONLY": frozenset[str](),
    "NEW_IMAGE": frozenset({"NewImage"}),
    "OLD_IMAGE": frozenset({"OldImage"}),
    "NEW_AND_OLD_IMAGES": frozenset({"NewImage", "OldImage"}),
}
EVERY_IMAGE = IMAGES["NEW_AND_OLD_IMAGES"]


def missing_image(name: object, patterns: Iterable[str], table: object, view: object) -> str | None:
    """A filter of a reader compares what the stream of a table carries.

    Lint E9126. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_StreamSpecification.html

    Args:
        name: What reads the stream.
        patterns: The patterns of its filters, as JSON.
        table: The table.
        view: Its ``StreamViewType``.
    """
    has = IMAGES.get(str(view), EVERY_IMAGE)
    for pattern in patterns:
        if missing := sorted(_images(pattern) - has):
            return (
                f"{name} filters by {missing[0]}, but the stream of {table} has {view}: no change "
                "matches, and all of them are dropped without a trace. Set its StreamViewType to "
                "NEW_AND_OLD_IMAGES, or filter by eventName and Keys."
            )
    return None


def no_new_image(table: object, view: str) -> str | None:
    """The stream of a table says what a changed item is now.

    Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_StreamSpecification.html

    Args:
        table: Whose stream it is.
        view: What it has of each change.
    """
    if "NewImage" in IMAGES.get(view, EVERY_IMAGE):
        return None
    return (
        f"The stream of {table} has {view}, so nothing says what a changed item is now, and no "
        "change would be shown. Set its StreamViewType to NEW_IMAGE."
    )


def _images(pattern: str) -> set[str]:
    """Return the images without which nothing matches a pattern."""
    try:
        compared: Any = json.loads(pattern).get("dynamodb", {})
    except (AttributeError, ValueError):
        return set()
    return (
        {name for name in EVERY_IMAGE if name in compared} if isinstance(compared, dict) else set()
    )


def too_many_readers(table: object, readers: int, *, is_global: bool = False) -> str | None:
    """A stream has so many readers that none of them is throttled.

    Lint W9127. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html

    Args:
        table: Whose stream it is.
        readers: What reads it.
        is_global: Whether the table has replicas, whose replication reads, too.
    """
    most = DYNAMODB_GLOBAL_STREAM_READERS if is_global else DYNAMODB_STREAM_READERS
    if readers <= most:
        return None
    kind = "a global table" if is_global else "a table"
    return (
        f"{readers} readers read the stream of {table}, but that of {kind} takes {most}: more are "
        "throttled and fall behind until changes expire. Let one reader publish the changes to "
        "a topic or an event bus, and subscribe the others there."
    )
