"""Rules at their boundaries: what each says of plain values, or None where it is kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Case = tuple[str | None, str | None]


def boundaries(rules: Callable[[], Mapping[str, Sequence[Case]]]) -> pytest.MarkDecorator:
    """Parametrize a test with ``said`` and ``expected``, a part of it, by the rule's promise.

    ``rules`` is called by each test again: a rule that is mutated once the tests are collected must
    still fail its own.
    """

    def said(promise: str, number: int) -> str | None:
        return rules()[promise][number][0]

    cases = [
        pytest.param(partial(said, promise, number), expected, id=f"{promise}-{number}")
        for promise, cases in rules().items()
        for number, (_, expected) in enumerate(cases)
    ]
    return pytest.mark.parametrize(("said", "expected"), cases)


def within(rule: Callable[[int], str | None], low: int, high: int, expected: str) -> list[Case]:
    """The cases of a rule that keeps a number within these two."""
    kept = {low - 1: False, low: True, high: True, high + 1: False}
    return [(rule(number), None if is_kept else expected) for number, is_kept in kept.items()]


def agree(said: Callable[[], str | None], expected: str | None) -> None:
    """Assert that a rule says nothing, or what is expected."""
    found = said()
    assert (found is None) == (expected is None), found
    assert (expected or "") in (found or "")
