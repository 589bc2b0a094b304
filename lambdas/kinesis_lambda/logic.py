"""Stock movements: what is a valid one, and what becomes of a part's stock.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..foundation import checks, strict_json
from ..foundation.outcomes import Outcome, RefusedError, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message
    from ..foundation.shards import Record

    Key = tuple[str, str]

FIELDS = ("movement_id", "part_id", "direction", "quantity")
DIRECTIONS = {"in": 1, "out": -1}
MAX_QUANTITY = 1_000_000


@dataclass(frozen=True)
class Movement:
    """A valid movement; ``fingerprint`` tells the same one from another one under its id."""

    id: str
    part_id: str
    change: int
    document: Mapping[str, Any]
    fingerprint: str

    @property
    def key(self) -> Key:
        """Its part's id, and its own."""
        return self.part_id, self.id


@dataclass(frozen=True)
class Stock:
    """The stock of a part after so many movements."""

    movements: int = 0
    on_hand: int = 0

    def after(self, movement: Movement, stored: Mapping[Key, str]) -> Stock | Outcome:
        """Return the stock after a movement, or the outcome of one that is stored already.

        ``stored``: fingerprints of movements by their keys.
        """
        if known := stored.get(movement.key):
            return compare(movement.fingerprint, known)
        return Stock(self.movements + 1, self.on_hand + movement.change)


def parse(message: Message) -> Movement:
    """Return the movement in a message.

    Raises:
        RefusedError: it is not a valid movement.
    """
    said = checks.fields(strict_json.parse(message.body), "movement", *FIELDS)
    checks.identifier(said["movement_id"], "movement_id")
    checks.identifier(said["part_id"], "part_id")
    quantity = checks.whole(said["quantity"], "quantity", MAX_QUANTITY)
    if said["direction"] not in [*DIRECTIONS]:
        raise RefusedError("field", f"direction must be one of {', '.join(DIRECTIONS)}.")
    change = DIRECTIONS[said["direction"]] * quantity
    fingerprint = strict_json.fingerprint(said)
    return Movement(said["movement_id"], said["part_id"], change, said, fingerprint)


@dataclass
class Totals:
    """The state of a window of a shard: what left the warehouse, by part.

    Args:
        sold: Quantities by part.
        events: Movements that were counted.
        unreadable: Events that are none; the stock's reader names each of them.
        first: Sequence number of the first record.
        last: That of the newest: a record that comes again is not counted again.
    """

    sold: dict[str, int] = field(default_factory=dict)
    events: int = 0
    unreadable: int = 0
    first: str = ""
    last: str = "-1"

    def add(self, record: Record) -> None:
        """Count a record's events, unless they are counted already."""
        if int(record.number) <= int(self.last):
            return
        self.first, self.last = self.first or record.number, record.number
        sold = Counter(self.sold)
        for event in record.events:
            try:
                movement = parse(event)
            except RefusedError:
                self.unreadable += 1
                continue
            self.events += 1
            sold[movement.part_id] += max(0, -movement.change)
        self.sold = dict(sold)

    def state(self) -> dict[str, Any]:
        """Return it as Lambda keeps it between calls."""
        return asdict(self)
