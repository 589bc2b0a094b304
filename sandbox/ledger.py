"""Counts every event of a scenario: what was sent, what became of it, and what is missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock


@dataclass
class Ledger:
    """The account of a scenario's events, each known by an id of its own.

    An event may be sent several times (copies); it counts as kept when at least one copy was
    processed or is in a dead-letter queue.
    """

    # By event id, but refused by reason.
    sent: Counter[str] = field(default_factory=Counter)  # copies
    accepted: Counter[str] = field(default_factory=Counter)  # copies that the entry point took
    refused: Counter[str] = field(default_factory=Counter)  # copies that it rejected
    processed: Counter[str] = field(default_factory=Counter)  # effects: more than one is a fault
    dead_lettered: Counter[str] = field(default_factory=Counter)  # messages in a dead-letter queue
    # Events that took effect before an earlier one of their group.
    out_of_order: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def book(self, event: str, refusal: str = "") -> None:
        """Book one copy that was sent, from any thread; ``refusal`` says why it was rejected."""
        with self._lock:
            self.sent[event] += 1
            if refusal:
                self.refused[refusal] += 1
            else:
                self.accepted[event] += 1

    @property
    def lost(self) -> set[str]:
        """Events that were accepted and are nowhere now."""
        return {*+self.accepted} - {*+self.processed} - {*+self.dead_lettered}

    @property
    def unexplained(self) -> set[str]:
        """Events that took effect or were dead-lettered although nothing accepted them."""
        return ({*+self.processed} | {*+self.dead_lettered}) - {*+self.accepted}

    @property
    def unanswered(self) -> int:
        """Copies that were neither accepted nor rejected."""
        return self.sent.total() - self.accepted.total() - self.refused.total()

    @property
    def suppressed(self) -> int:
        """Accepted copies that rightly had no effect of their own."""
        found = self.processed.total() + self.dead_lettered.total() + len(self.lost)
        return self.accepted.total() - found

    @property
    def processed_twice(self) -> set[str]:
        """Events that had their effect more than once."""
        return {event for event, times in self.processed.items() if times > 1}

    def rows(self) -> list[tuple[str, int]]:
        """Return the lines of the account, in the order an event meets them."""
        return [
            ("sent", self.sent.total()),
            ("accepted", self.accepted.total()),
            ("refused", self.refused.total()),
            ("processed", self.processed.total()),
            ("duplicates suppressed", self.suppressed),
            ("dead-lettered", self.dead_lettered.total()),
            ("out of order", self.out_of_order.total()),
            ("lost", len(self.lost)),
        ]
