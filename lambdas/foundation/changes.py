"""A change of an item, as the stream of its table tells it. Pure: no AWS, no clock."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Message

    Item = Mapping[str, Any]

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
BY_DYNAMODB = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
DIGITS = 40  # of the longest sequence number


@dataclass(frozen=True)
class Change:
    """A change of an item. Items are in DynamoDB's types.

    Args:
        place: Its sequence number, as text that sorts: later changes of an item have later ones.
        operation: ``INSERT``, ``MODIFY`` or ``REMOVE``.
        keys: The item's key.
        before: The item as it was; None if it is new, or if the stream has no old images.
        after: The item as it is; None if it was deleted, or if the stream has no new images.
        at: When it was written, in seconds since 1970.
        expired: Whether DynamoDB deleted it because its time was over; else somebody did.
    """

    place: str
    operation: str
    keys: Item
    before: Item | None
    after: Item | None
    at: int
    expired: bool

    @classmethod
    def of(cls, message: Message) -> Change:
        """Read a message of ``shards``."""
        record = json.loads(message.body)
        said, who = record["dynamodb"], record.get("userIdentity") or {}
        return cls(
            place=said["SequenceNumber"].zfill(DIGITS),
            operation=record["eventName"],
            keys=_item(said["Keys"]) or {},
            before=_item(said.get("OldImage")),
            after=_item(said.get("NewImage")),
            at=int(said.get("ApproximateCreationDateTime", 0)),
            expired=record["eventName"] == "REMOVE"
            and {name.lower(): value for name, value in who.items()}
            == {name.lower(): value for name, value in BY_DYNAMODB.items()},
        )


def _item(image: Item | None) -> Item | None:
    """Return an image with bytes where Lambda writes them as Base64; None for none."""
    return {name: _value(value) for name, value in image.items()} if image else None


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            content = base64.b64decode(content)
        case "BS":
            content = [base64.b64decode(one) for one in content]
        case "L":
            content = [_value(one) for one in content]
        case "M":
            content = {name: _value(one) for name, one in content.items()}
    return {kind: content}
