"""The ledger counts every copy once, and knows what is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from serverless_patterns.sandbox.ledger import Ledger


@pytest.fixture
def ledger() -> Ledger:
    """Two copies of a, one of which is suppressed; b is dead-lettered, c rejected."""
    ledger = Ledger()
    for event, refusal in (("a", ""), ("a", ""), ("b", ""), ("c", "400")):
        ledger.book(event, refusal)
    ledger.processed["a"] += 1
    ledger.dead_lettered["b"] += 1
    return ledger


def test_every_column_is_counted(ledger: Ledger) -> None:
    assert dict(ledger.rows()) == {
        "sent": 4,
        "accepted": 3,
        "refused": 1,
        "processed": 1,
        "duplicates suppressed": 1,
        "dead-lettered": 1,
        "out of order": 0,
        "lost": 0,
    }
    assert ledger.refused == {"400": 1}
    assert (ledger.lost, ledger.unexplained, ledger.processed_twice) == (set(), set(), set())
    assert ledger.unanswered == 0


def test_what_was_accepted_and_is_nowhere_is_lost_and_not_suppressed(ledger: Ledger) -> None:
    del ledger.processed["a"]
    assert ledger.lost == {"a"}
    assert ledger.suppressed == 1


def test_a_rejected_event_is_not_lost(ledger: Ledger) -> None:
    assert "c" not in ledger.lost


def test_what_nobody_accepted_is_unexplained_wherever_it_appears(ledger: Ledger) -> None:
    ledger.processed["c"] += 1
    ledger.dead_lettered["d"] += 1
    assert ledger.unexplained == {"c", "d"}


def test_a_second_effect_is_no_suppressed_duplicate(ledger: Ledger) -> None:
    ledger.processed["a"] += 1
    assert ledger.processed_twice == {"a"}
    assert ledger.suppressed == 0


def test_a_copy_without_an_answer_is_unanswered(ledger: Ledger) -> None:
    ledger.sent["a"] += 1
    assert ledger.unanswered == 1


def test_no_copy_is_missed_when_many_threads_book() -> None:
    ledger = Ledger()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: ledger.book(f"{number % 3}"), range(3_000)))
    assert ledger.sent.total() == ledger.accepted.total() == 3_000
