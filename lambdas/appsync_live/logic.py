"""A customer's orders, and what a client is told of each change. Pure: no AWS, no clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..foundation import channels, strict_json
from ..foundation.changes import Change
from ..foundation.outcomes import RefusedError
from ..foundation.tables import deserialize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message

FIELDS = ("version", "status", "changed_at", "order")
ORDER = "ORDER#"  # sort keys of orders begin with it


def view(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client sees of an order, from its item in DynamoDB's types.

    ``version`` counts all changes of the customer's orders, so that a client sees a gap.

    Raises:
        RefusedError: it is not one that ``feed`` has written.
    """
    found = deserialize(item)
    if missing := [name for name in FIELDS if name not in found]:
        raise RefusedError("field", f"The item lacks {', '.join(missing)}.")
    return {
        "order_id": found["sk"].removeprefix(ORDER),
        "version": int(found["version"]),
        "status": found["status"],
        "changed_at": int(found["changed_at"]),
        "order": strict_json.parse(found["order"]),
    }


def event(message: Message) -> tuple[str, str] | None:
    """Return the channel's owner and the JSON to publish of a changed order; None for the rest.

    An order that no event can hold is only named, and clients fetch it.

    Raises:
        RefusedError: nobody could work on it.
    """
    change = Change.of(message)
    if change.after is None or not change.keys["sk"]["S"].startswith(ORDER):
        return None
    seen, owner = view(change.after), change.keys["pk"]["S"]
    channels.channel("any", owner)
    text = json.dumps(seen, ensure_ascii=False)
    if channels.size(text) > channels.MAX_EVENT_BYTES:
        text = json.dumps({"version": seen["version"], "fetch": True})
    return owner, text
