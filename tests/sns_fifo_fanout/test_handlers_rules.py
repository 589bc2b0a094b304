"""What is a valid price change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.sns_fifo_fanout import logic
from serverless_patterns.lambdas.sns_fifo_fanout.logic import Known
from tests.moto_cloud import record, text

from .handlers import change


def parse(body: Any) -> logic.PriceChange:
    return logic.parse(Message.of(record(body)))


def refusal(body: Any) -> RefusedError | None:
    try:
        parse(body)
    except RefusedError as error:
        return error
    return None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 10**12 - 1},
        *({"price": price} for price in ("0.01", "49.9", "100")),
        {"price": "0.005", "currency": "KWD"},
        {"price": "1200", "currency": "JPY"},
        {"channels": ["retail"]},
        {"changed_at": "2026-11-21T08:00:00.123456Z"},
    ],
)
def test_a_valid_change_is_taken(fields: dict[str, Any]) -> None:
    parsed = parse(change(**fields))
    assert parsed.document == change(**fields)
    assert parsed.key == ("BRK-PAD-F", parsed.document["version"])


PRICES: tuple[Any, ...] = ("0", "0.00", "-1.00", "1,99", "1.999", "1e3", "01.00", "٤٩", 49)
CHANNELS: tuple[Any, ...] = ([], "retail", ["retail", "retail"], ["outlet"], [["retail"]])
MOMENTS: tuple[Any, ...] = ("2026-11-21", "2026-11-21T08:00:00+01:00", "2026-02-30T08:00:00Z", 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "not_json"),
        ("1", "field"),
        ("null", "field"),
        (text(change()).replace('"version": 1', '"version": 1.0'), "number"),
        (change(colour="red"), "field"),
        ({k: v for k, v in change().items() if k != "price"}, "field"),
        *((change(event_id=value), "field") for value in ("", "x" * 65)),
        *((change() | {"part_id": value}, "field") for value in ("a/b", 7)),
        *((change() | {"version": value}, "version") for value in (0, True, "1", 10**12)),
        *((change(price=value), "price") for value in PRICES),
        (change(price="1.5", currency="JPY"), "price"),
        *((change(currency=value), "currency") for value in ("XXX", ["EUR"])),
        *((change(channels=value), "channels") for value in CHANNELS),
        *((change(changed_at=value), "changed_at") for value in MOMENTS),
    ],
)
def test_an_invalid_change_is_refused_with_a_reason(body: Any, expected: str) -> None:
    error = refusal(body)
    assert error
    assert error.reason == expected


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(text))
def test_no_body_can_make_the_check_fail_itself(body: str) -> None:
    error = refusal(body)
    assert error
    assert error.reason
    assert error.detail.endswith(".")


@given(st.dictionaries(st.sampled_from(logic.FIELDS), st.integers() | st.text() | st.none()))
def test_no_field_can_make_the_check_fail_itself(fields: dict[str, Any]) -> None:
    error = refusal(change() | fields)
    assert error is None or error.reason


def test_the_moment_is_in_utc() -> None:
    assert parse(change()).changed_at == datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize("group", ["OIL-FLT-3", "", None])
def test_a_change_must_be_in_the_group_of_its_part(group: str | None) -> None:
    with pytest.raises(RefusedError, match="group"):
        logic.parse_in_group(Message.of(record(change(), group)))


def test_what_becomes_of_changes_depends_on_the_table_and_on_those_before() -> None:
    changes = [parse(change(version)) for version in (4, 5, 5, 3, 6)]
    conflict = parse(change(5, price="0.01"))
    known = Known({"BRK-PAD-F": 4}, {changes[0].key: changes[0].fingerprint})
    kinds = [outcome.kind for outcome in logic.plan([*changes, conflict], known)]
    assert kinds == ["duplicate", "stored", "duplicate", "superseded", "stored", "refused"]
