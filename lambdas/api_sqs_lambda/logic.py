"""The rules of the shop: what is a valid change of an order, and what is the same one again.

Pure: no AWS, no environment, no clock. The API has checked shapes, but a message can also be
sent to the queue directly, so every field is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop, strict_json
from ..foundation.outcomes import Outcome, RefusedError, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..foundation.messages import Message

MAX_NOTE = 500
# The fields of each kind of change, besides those that all have.
KINDS = {"quantity": ("sku", "quantity"), "cancel_line": ("sku",), "note": ("text",)}


@dataclass(frozen=True)
class Change:
    """A valid change of an order; ``fingerprint`` tells it from another one under its id."""

    order_id: str
    id: str
    document: Mapping[str, Any]
    fingerprint: str


@dataclass
class History:
    """What is stored for some orders and changes.

    Args:
        revisions: How many changes were applied, by order id.
        fingerprints: Of the changes, by order id and change id.
    """

    revisions: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[tuple[str, str], str] = field(default_factory=dict)


def parse_change(message: Message) -> Change:
    """Return the change in a message.

    Raises:
        RefusedError: it is not a valid change, or it is not in its order's message group, where
            the order of changes is kept.
    """
    document = strict_json.parse(message.body)
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise RefusedError("kind", f"kind must be one of {', '.join(KINDS)}.")
    change = checks.fields(document, kind, "order_id", "change_id", "kind", *KINDS[kind])
    for name in {"order_id", "change_id", "sku"} & change.keys():
        checks.identifier(change[name], name)
    if kind == "quantity":
        checks.whole(change["quantity"], "quantity", shop.MAX_QUANTITY)
    if kind == "note":
        checks.text(change["text"], "text", MAX_NOTE)
    if message.group_id != change["order_id"]:
        raise RefusedError("group", "The message group is not the order's id.")
    return Change(change["order_id"], change["change_id"], change, strict_json.fingerprint(change))


def place(changes: Iterable[Change], history: History) -> list[int | Outcome]:
    """Return for each change, in this order, its revision, or why it gets none."""
    revisions, known = dict(history.revisions), dict(history.fingerprints)
    places: list[int | Outcome] = []
    for change in changes:
        key = (change.order_id, change.id)
        if key in known:
            places.append(compare(change.fingerprint, known[key]))
            continue
        known[key] = change.fingerprint
        revisions[change.order_id] += 1
        places.append(revisions[change.order_id])
    return places
