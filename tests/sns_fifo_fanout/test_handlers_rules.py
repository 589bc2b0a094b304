"""What is a valid price change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation.outcomes import Outcome, RefusedError, hold_back
from serverless_patterns.lambdas.sns_fifo_fanout import logic
from serverless_patterns.lambdas.sns_fifo_fanout.logic import Known

from .events import change, text


def reason(body: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        logic.parse(body if isinstance(body, str) else text(body))
    return refused.value.reason


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 10**12 - 1},
        {"price": "0.01"},
        {"price": "49.9"},
        {"price": "100"},
        {"price": "0.005", "currency": "KWD"},
        {"price": "1200", "currency": "JPY"},
        {"channels": ["retail"]},
        {"changed_at": "2026-11-21T08:00:00.123456Z"},
    ],
)
def test_a_valid_change_is_taken(fields: dict[str, Any]) -> None:
    parsed = logic.parse(text(change(**fields)))
    assert parsed.document == change(**fields)
    assert parsed.key == ("BRK-PAD-F", parsed.document["version"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "not_json"),
        ("[" * 100_000, "not_json"),
        ("1" * 5_000, "not_json"),
        ("1", "field"),
        ("null", "field"),
        ('{"event_id": "a", "event_id": "a"}', "duplicate_key"),
        (text(change()).replace('"version": 1', '"version": 1.0'), "number"),
        (text(change()).replace('"version": 1', '"version": NaN'), "number"),
        (change() | {"colour": "red"}, "field"),
        ({k: v for k, v in change().items() if k != "price"}, "field"),
        (change(event_id=""), "field"),
        (change(event_id="x" * 65), "field"),
        (change(part_id="a/b"), "field"),
        (change(part_id=7), "field"),
        (change(version=0), "version"),
        (change(version=True), "version"),
        (change() | {"version": "1"}, "version"),
        (change(version=10**12), "version"),
        (change(price="0"), "price"),
        (change(price="0.00"), "price"),
        (change(price="-1.00"), "price"),
        (change(price="1,99"), "price"),
        (change(price="1.999"), "price"),
        (change(price="1e3"), "price"),
        (change(price="01.00"), "price"),
        (change(price="٤٩"), "price"),
        (change(price=49), "price"),
        (change(price="1.5", currency="JPY"), "price"),
        (change(currency="XXX"), "currency"),
        (change(currency=["EUR"]), "currency"),
        (change(channels=[]), "channels"),
        (change(channels="retail"), "channels"),
        (change(channels=["retail", "retail"]), "channels"),
        (change(channels=["outlet"]), "channels"),
        (change(channels=[["retail"]]), "channels"),
        (change(changed_at="2026-11-21"), "changed_at"),
        (change(changed_at="2026-11-21T08:00:00+01:00"), "changed_at"),
        (change(changed_at="2026-02-30T08:00:00Z"), "changed_at"),
        (change(changed_at=1), "changed_at"),
        ('"\\ud800"', "text"),
    ],
)
def test_an_invalid_change_is_refused_with_a_reason(body: Any, expected: str) -> None:
    assert reason(body) == expected


def refusal(body: str) -> RefusedError | None:
    try:
        logic.parse(body)
    except RefusedError as error:
        return error
    return None


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(text))
def test_no_body_can_make_the_check_fail_itself(body: str) -> None:
    error = refusal(body)
    assert error
    assert error.reason
    assert error.detail.endswith(".")


@given(st.dictionaries(st.sampled_from(logic.FIELDS), st.integers() | st.text() | st.none()))
def test_no_field_can_make_the_check_fail_itself(fields: dict[str, Any]) -> None:
    error = refusal(text(change() | fields))
    assert error is None or error.reason


def test_the_moment_is_in_utc() -> None:
    assert logic.parse(text(change())).changed_at == datetime(2026, 11, 21, 8, tzinfo=UTC)


def test_a_change_must_be_in_the_group_of_its_part() -> None:
    assert logic.parse_in_group(text(change()), "BRK-PAD-F").part_id == "BRK-PAD-F"
    for group in ("OIL-FLT-3", "", None):
        with pytest.raises(RefusedError, match="group"):
            logic.parse_in_group(text(change()), group)


def test_the_same_change_has_the_same_fingerprint_however_it_is_written() -> None:
    spaced = text(change()).replace(", ", " ,\n")
    assert logic.parse(spaced).fingerprint == logic.parse(text(change())).fingerprint
    other = logic.parse(text(change(price="2.90")))
    assert other.fingerprint != logic.parse(text(change())).fingerprint


def test_what_becomes_of_changes_depends_on_the_table_and_on_those_before() -> None:
    changes = [logic.parse(text(change(version))) for version in (4, 5, 5, 3, 6)]
    conflict = logic.parse(text(change(5, price="0.01")))
    known = Known({"BRK-PAD-F": 4}, {changes[0].key: changes[0].fingerprint})
    kinds = [outcome.kind for outcome in logic.plan([*changes, conflict], known)]
    assert kinds == ["duplicate", "stored", "duplicate", "superseded", "stored", "refused"]


def test_everything_behind_a_failure_of_its_group_is_held_back() -> None:
    failed = Outcome("failed", "Throttled")
    groups = [("1", "a"), ("2", "b"), ("3", "a"), ("4", "b")]
    outcomes = {"1": failed, "2": logic.STORED, "3": logic.STORED, "4": logic.STORED}
    held = hold_back(groups, outcomes)
    assert [held[name].kind for name in "1234"] == ["failed", "stored", "failed", "stored"]
    assert held["3"].reason == "BehindAFailure"
