"""A pattern that nothing can match is found, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.patterns.checks import patterns

NUMBERS = "total: no number is"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ({}, None),
        ({"kind": ["paid"]}, None),
        ({"kind": []}, "kind: the list is empty."),
        ({"kind": "paid"}, "kind is paid, which must be in a list, as [paid]."),
        ({"kind": "${?}"}, None),
        ({"detail": {"kind": "paid"}}, "detail.kind is paid"),
        ({"kind": [["paid"]]}, "kind: a list in a list"),
        ({"kind": [{"contains": "a"}]}, "kind: contains is an unknown comparison."),
        ({"kind": [{"contains": "a"}, "paid"]}, None),
        ({"total": [{"numeric": [">", 5, "<", 3]}]}, f"{NUMBERS} > 5 < 3."),
        ({"total": [{"numeric": [">=", 5, "<=", 5]}]}, None),
        ({"total": [{"numeric": [">=", 5, "<", 5]}]}, NUMBERS),
        ({"total": [{"numeric": ["=", 5]}]}, None),
        ({"total": [{"numeric": ["=>", 5]}]}, "total: ['=>', 5] compares no number"),
        ({"total": [{"numeric": [">"]}]}, "total: ['>'] compares no number"),
        ({"total": [{"numeric": [">", 5, "<=", 5]}]}, NUMBERS),
        ({"total": [{"numeric": [">", 5, "<=", 3]}]}, NUMBERS),
        ({"total": [{"numeric": ["=", 5, "<", 3]}]}, f"{NUMBERS} = 5 < 3."),
        ({"total": [{"numeric": [">", 5, "=", 3]}]}, NUMBERS),
        ({"total": [{"numeric": [">=", 5, "=", 5]}]}, None),
        ({"total": [{"numeric": 5}]}, None),
        ({"total": [{"numeric": ["${?}", 5]}]}, None),
        ({"total": [{"${?}": 5}]}, None),
        ({"detail": {"$or": [{"kind": []}]}}, "detail.kind: the list is empty."),
        ({"$or": 5}, None),
        ({"total": [{"numeric": [">", "${?}", "<", 3]}]}, None),
        ({"total": [{"numeric": [">", 5, "<", 3]}, {"numeric": ["<", 3]}]}, None),
        ({"$or": [{"kind": []}, {"total": []}]}, "kind: the list is empty."),
        ({"$or": [{"kind": []}, {"total": [1]}]}, None),
    ],
)
def test_a_pattern_that_nothing_matches_is_found(pattern: dict[str, Any], why: str | None) -> None:
    found = patterns.matches_nothing("It", pattern)
    assert (found is None) is (why is None)
    assert found is None or found.startswith(f"It matches nothing: {why}")
