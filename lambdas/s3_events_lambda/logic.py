"""Price lists of suppliers: what is a valid one, and which of two outcomes counts.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop
from ..foundation.outcomes import DUPLICATE, Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..foundation.objects import ObjectEvent

MAX_BYTES = 1024**2
TESTED = Outcome("tested")
SKIPPED = Outcome("skipped")
REMOVED = Outcome("removed")
GONE = Outcome("gone")
SUPERSEDED = Outcome("superseded")
# Of the events in one message the first of these counts: none may be lost with the others.
WORST_FIRST = ("failed", "refused")


@dataclass(frozen=True)
class PriceList:
    """What a valid price list says. ``fingerprint`` is that of its content."""

    lines: int
    fingerprint: str


@dataclass(frozen=True)
class Work:
    """What an event came to.

    Attributes:
        outcome: Of the event.
        state: What the results say of it.
        counts: Whether it may be what counts for its key. Default: no.
        result: What else the result of its version says; None if there is none to store.
    """

    outcome: Outcome
    state: str = ""
    counts: bool = False
    result: Mapping[str, Any] | None = None


def read(content: bytes) -> PriceList:
    """Return a price list: CSV with an SKU, a price and a currency in each line; none is valid too.

    Raises:
        RefusedError: it is not valid.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise RefusedError("not_csv", "The object is not CSV in UTF-8.") from None
    skus = {_sku(row, f"line {number}") for number, row in enumerate(rows, 1)}
    if len(skus) < len(rows):
        raise RefusedError("sku", "The list has the same SKU twice.")
    return PriceList(len(rows), hashlib.sha256(content).hexdigest())


def _sku(row: list[str], where: str) -> str:
    if len(row) != 3:
        raise RefusedError("field", f"{where} must have an SKU, a price and a currency.")
    sku, price, currency = row
    checks.amount(price, f"{where}: price", shop.digits(currency))
    return checks.identifier(sku, f"{where}: SKU")


def is_of_one_version(event: ObjectEvent) -> bool:
    """Whether only a version was deleted for ever: the key may have another one that counts."""
    return bool(event.version) and event.detail != "DeleteMarkerCreated"


def newest(events: Iterable[ObjectEvent]) -> dict[str, ObjectEvent]:
    """Return the latest event of each key; what a sweep found has no sequencer, and yields."""
    found: dict[str, ObjectEvent] = {}
    for event in events:
        known = found.setdefault(event.key, event)
        if (event.sequencer or "", event.at) > (known.sequencer or "", known.at):
            found[event.key] = event
    return found


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome of a message from those of its events."""
    each = list(outcomes)
    worst = [one for kind in WORST_FIRST for one in each if one.kind == kind]
    others = [one for one in each if one != DUPLICATE]
    return next(iter(worst or others or each), TESTED)
