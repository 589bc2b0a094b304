"""A pattern that nothing can match is found, and no other."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.patterns.checks import patterns

NUMBERS = "total: no number is"
EXISTS = {"exists": True}


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


# What no pattern matches, and two patterns that match one event


def matches(pattern: Any, event: Any) -> bool:
    """Whether an event matches, by the rules of EventBridge that these tests need."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            if not matches(wanted, event.get(name, {})):
                return False
        elif not any(is_as(value, event.get(name)) for value in wanted):
            return False
    return True


def is_as(wanted: Any, value: Any) -> bool:
    text = value if isinstance(value, str) else ""
    match wanted:
        case {"exists": exists}:
            return (value is not None) is exists
        case {"prefix": start}:
            return value is not None and text.startswith(start)
        case {"suffix": end}:
            return value is not None and text.endswith(end)
        case {"numeric": [">", low]}:
            return isinstance(value, int) and value > low
        case {"anything-but": {"wildcard": texts}}:
            return value is not None and not any(is_like(one, text) for one in texts)
        case {"anything-but": values}:
            return value is not None and value not in values
    return bool(wanted == value)


def is_like(wildcard: str, text: str) -> bool:
    start, _, end = wildcard.partition("*")
    if "*" not in wildcard:
        return wildcard == text
    return text.startswith(start) and text.endswith(end)


SOURCES, TYPES, KINDS = ("shop.orders", "shop.stock", "bank"), ("Placed", "Paid"), ("a", "b", None)
EVENTS = [
    {"source": source, "detail-type": kind, "detail": {"kind": of} if of else {}}
    for source, kind, of in product(SOURCES, TYPES, KINDS)
]
VALUES = st.lists(st.sampled_from(SOURCES), min_size=1, max_size=2)
TEXTS = VALUES | st.sampled_from([[{"prefix": "shop."}], [{"suffix": "stock"}]])
PATTERN = st.fixed_dictionaries(
    {},
    optional={
        "source": TEXTS,
        "detail-type": st.lists(st.sampled_from(TYPES), min_size=1, max_size=1),
        "detail": st.sampled_from([{"kind": ["a"]}, {"kind": ["a", "b"]}, {"kind": [EXISTS]}]),
    },
).filter(bool)


@given(st.lists(PATTERN, min_size=1, max_size=4))
def test_the_catch_all_matches_what_no_rule_does_and_nothing_else(of_rules: list[Any]) -> None:
    rest = patterns.others(of_rules)
    for event in EVENTS:
        taken = any(matches(pattern, event) for pattern in of_rules)
        assert (rest is not None and matches(rest, event)) is not taken, (rest, event)


@pytest.mark.parametrize("value", [{"numeric": [">", 5]}, True, None, {"cidr": "10.0.0.0/8"}])
def test_a_value_without_an_opposite_counts_as_matched(value: Any) -> None:
    of = {"source": ["shop"], "detail": {"total": [value]}}
    assert patterns.others([of]) == {"source": [{"anything-but": ["shop"]}]}
    assert patterns.others([{"detail": {"total": [value]}}]) is None


def test_a_backslash_in_a_value_stays_one() -> None:
    rest = patterns.others([{"source": ["a\\b"]}])
    assert rest == {"source": [{"anything-but": {"wildcard": ["a\\\\b"]}}]}


def test_a_star_in_a_value_is_no_wildcard() -> None:
    values = ["a*b", {"prefix": "c"}, {"wildcard": "b*d"}, {"suffix": "e"}]
    rest = patterns.others([{"source": values}])
    assert rest == {"source": [{"anything-but": {"wildcard": ["*e", "a\\*b", "b*d", "c*"]}}]}


@pytest.mark.parametrize(
    ("other", "both"),
    [
        ({"source": ["shop"]}, True),
        ({"source": ["bank"]}, False),
        ({"source": [{"prefix": "sh"}]}, True),
        ({"detail-type": ["Paid"]}, True),
        ({"source": ["shop"], "detail": {"kind": ["b"]}}, True),
    ],
)
def test_two_patterns_match_one_event_unless_its_envelope_tells_them_apart(
    other: dict[str, Any], both: bool
) -> None:
    one = {"source": ["shop"], "detail": {"kind": ["a"]}}
    assert patterns.can_match_both(one, other) is both
