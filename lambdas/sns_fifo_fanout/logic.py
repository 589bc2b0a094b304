"""The rules of a price list: what is a valid price change, and which of two is the newer one.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..foundation import strict_json
from ..foundation.outcomes import Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIELDS = ("event_id", "part_id", "version", "price", "currency", "channels", "changed_at")
CHANNELS = ("retail", "wholesale")
MAX_VERSION = 10**12 - 1

# Decimal places of the currencies that the shop sells in (ISO 4217, "minor unit").
CURRENCIES = {
    "BHD": 3, "CAD": 2, "CHF": 2, "CZK": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3, "PLN": 2,
    "SEK": 2, "USD": 2,
}  # fmt: skip

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRICE = re.compile(r"(0|[1-9][0-9]{0,11})(\.([0-9]+))?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


STORED = Outcome("stored")
SUPERSEDED = Outcome("superseded")
DUPLICATE = Outcome("duplicate")
CONFLICT = Outcome("refused", "conflict", "Another price has this part's version already.")


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


def parse(body: str) -> PriceChange:
    """Return the price change in a message's body.

    Raises:
        RefusedError: it is not a valid one.
    """
    change = _object(strict_json.parse(body))
    _id(change["event_id"], "event_id")
    _id(change["part_id"], "part_id")
    version = change["version"]
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= MAX_VERSION:
        raise RefusedError("version", f"version must be a whole number from 1 to {MAX_VERSION}.")
    if not isinstance(change["currency"], str) or change["currency"] not in CURRENCIES:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    _check_price(change["price"], CURRENCIES[change["currency"]])
    _check_channels(change["channels"])
    return PriceChange(
        part_id=change["part_id"],
        version=version,
        changed_at=_moment(change["changed_at"]),
        document=change,
        fingerprint=strict_json.fingerprint(change),
    )


def parse_in_group(body: str, group_id: str | None) -> PriceChange:
    """Return the price change in the body of a message that must be in its part's group.

    Raises:
        RefusedError: it is not a valid one, or it is in another group, where order is not kept.
    """
    change = parse(body)
    if group_id != change.part_id:
        raise RefusedError("group", "The message group is not the part's id.")
    return change


def plan(changes: Iterable[PriceChange], known: Known) -> list[Outcome]:
    """Return what becomes of each change, in this order, if the table is as it is known.

    An older price never takes the place of a newer one: it is only recorded.
    """
    versions, fingerprints = dict(known.versions), dict(known.fingerprints)
    outcomes = []
    for change in changes:
        if change.key in fingerprints:
            same = fingerprints[change.key] == change.fingerprint
            outcomes.append(DUPLICATE if same else CONFLICT)
            continue
        fingerprints[change.key] = change.fingerprint
        if change.version > versions.get(change.part_id, 0):
            versions[change.part_id] = change.version
            outcomes.append(STORED)
        else:
            outcomes.append(SUPERSEDED)
    return outcomes


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Return how many there are of each kind."""
    return dict(Counter(outcome.kind for outcome in outcomes))


def line(change: PriceChange) -> bytes:
    """Return the change as a line of newline-delimited JSON."""
    return strict_json.encode(change.document) + b"\n"


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(FIELDS):
        raise RefusedError("field", f"The body must be an object of {', '.join(FIELDS)}.")
    return value


def _id(value: Any, name: str) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise RefusedError("field", f"{name} must be 1 to 64 letters, digits, _ or -.")


def _check_price(value: Any, digits: int) -> None:
    match = _PRICE.fullmatch(value) if isinstance(value, str) else None
    if not match or len(match[3] or "") > digits or Decimal(value) == 0:
        raise RefusedError(
            "price",
            f"price must be a text above 0 with at most {digits} decimal places, such as '49.90'.",
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
