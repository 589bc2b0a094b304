"""The rules of a price list: what is a valid price change, and which of two is the newer one.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop, strict_json
from ..foundation.outcomes import STORED, Outcome, RefusedError, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..foundation.messages import Message

FIELDS = ("event_id", "part_id", "version", "price", "currency", "channels", "changed_at")
CHANNELS = ("retail", "wholesale")
MAX_VERSION = 10**12 - 1

_PRICE = re.compile(r"(0|[1-9][0-9]{0,11})(\.([0-9]+))?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")

SUPERSEDED = Outcome("superseded")


@dataclass(frozen=True)
class PriceChange:
    """A valid price change.

    Args:
        part_id: Whose price; changes of one part are in one message group.
        version: Counts the part's price changes at their source, from 1: the higher is the newer,
            whatever order they arrive in.
        changed_at: When the price was changed, at the source.
        document: The event.
        fingerprint: Tells the same change from another one under its version.
    """

    part_id: str
    version: int
    changed_at: datetime
    document: Mapping[str, Any]
    fingerprint: str

    @property
    def key(self) -> tuple[str, int]:
        """What makes it unique."""
        return self.part_id, self.version


@dataclass
class Known:
    """What is known of the table.

    Args:
        versions: Version of the current price, by part id.
        fingerprints: Of changes that are recorded already, by key.
    """

    versions: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[tuple[str, int], str] = field(default_factory=dict)


def parse(message: Message) -> PriceChange:
    """Return the price change in a message.

    Raises:
        RefusedError: it is not a valid one.
    """
    return read(strict_json.parse(message.body))


def read(document: Any) -> PriceChange:
    """Return the price change in a document.

    Raises:
        RefusedError: it is not a valid one.
    """
    change = checks.fields(document, "The body", *FIELDS)
    checks.identifier(change["event_id"], "event_id")
    checks.identifier(change["part_id"], "part_id")
    checks.whole(change["version"], "version", MAX_VERSION, reason="version")
    _check_price(change["price"], shop.digits(change["currency"]))
    _check_channels(change["channels"])
    return PriceChange(
        part_id=change["part_id"],
        version=change["version"],
        changed_at=_moment(change["changed_at"]),
        document=change,
        fingerprint=strict_json.fingerprint(change),
    )


def parse_in_group(message: Message) -> PriceChange:
    """Return the price change in a message that must be in its part's group.

    Raises:
        RefusedError: it is not a valid one, or it is in another group, where order is not kept.
    """
    change = parse(message)
    if message.group_id != change.part_id:
        raise RefusedError("group", "The message group is not the part's id.")
    return change


def plan(changes: Iterable[PriceChange], known: Known) -> list[Outcome]:
    """Return what becomes of each change, in this order, if the table is as it is known.

    An older price never replaces a newer one: it is only recorded.
    """
    versions, fingerprints = dict(known.versions), dict(known.fingerprints)
    outcomes = []
    for change in changes:
        if change.key in fingerprints:
            outcomes.append(compare(change.fingerprint, fingerprints[change.key]))
            continue
        fingerprints[change.key] = change.fingerprint
        if change.version > versions.get(change.part_id, 0):
            versions[change.part_id] = change.version
            outcomes.append(STORED)
        else:
            outcomes.append(SUPERSEDED)
    return outcomes


def _check_price(value: Any, digits: int) -> None:
    match = _PRICE.fullmatch(value) if isinstance(value, str) else None
    if not match or len(match[3] or "") > digits or Decimal(value) == 0:
        raise RefusedError(
            "price",
            f"price must be a string above 0 with at most {digits} decimal places, like '49.90'.",
        )


def _check_channels(value: Any) -> None:
    known = isinstance(value, list) and all(channel in CHANNELS for channel in value)
    if not known or not value or len(set(value)) < len(value):
        raise RefusedError("channels", f"channels must be a list of {' or '.join(CHANNELS)}.")


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            pass
    raise RefusedError("changed_at", "changed_at must be like 2026-11-21T08:00:00Z.")
