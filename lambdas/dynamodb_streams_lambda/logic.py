"""Orders and the events in their outbox: what of a change is published, and what is newest.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop, strict_json
from ..foundation.changes import Change
from ..foundation.outcomes import Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..foundation.messages import Message

ORDER, EVENT = "ORDER", "EVENT#"  # sort keys of an order, and of its events
TYPES = ("placed", "changed", "canceled")
FIELDS = ("event_id", "order_id", "type", "order")
MAX_LINES = 100
IGNORED = Outcome("ignored")  # is for another reader
# Longer than any replay: a stream keeps its changes for 24 hours.
REMEMBERED = 3 * 86_400


def event(message: Message) -> str | None:
    """Return the event, byte for byte as it was written, of a new item of the outbox.

    None for any other change: a replay has all of a range, whatever the reader's filter.

    Raises:
        RefusedError: nobody could work on it.
    """
    change = Change.of(message)
    if change.operation != "INSERT" or not change.keys["sk"]["S"].startswith(EVENT):
        return None
    item = change.after or {}
    text: str = item.get("event", {}).get("S", "")
    said = checks.fields(strict_json.parse(text), "event", *FIELDS)
    checks.identifier(said["event_id"], "event_id")
    checks.identifier(said["order_id"], "order_id")
    if said["type"] not in TYPES:
        raise RefusedError("field", f"type must be one of {', '.join(TYPES)}.")
    if (said["type"] == "canceled") != (said["order"] is None):
        raise RefusedError("field", "order must be there, unless it is canceled.")
    if said["order"] is not None:
        _check_order(said["order"])
    return text


def _check_order(order: Any) -> None:
    checks.fields(order, "order", "order_id", "customer_id", "currency", "lines", "total")
    shop.total(order, MAX_LINES)


def newest(changes: Iterable[tuple[Change, Message]]) -> dict[str, Change]:
    """Return the last change of each order, by its key, which is the message's group."""
    found: dict[str, Change] = {}
    for change, message in changes:
        if change.keys["sk"]["S"] != ORDER:
            continue
        key = str(message.group_id)
        if key not in found or found[key].place < change.place:
            found[key] = change
    return found


def projected(change: Change) -> Mapping[str, Any]:
    """Return what the projection holds of an item, in DynamoDB's types.

    Of one that is gone it remembers that, and why, so that no older change brings it back.
    """
    place = {"place": {"S": change.place}}
    if change.after is not None:
        return {**change.after, **place}
    why = "expired" if change.expired else "deleted"
    forget = {"expires_at": {"N": str(change.at + REMEMBERED)}}
    return {**change.keys, **place, **forget, "gone": {"S": why}}
