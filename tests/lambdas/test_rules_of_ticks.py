"""A reminder's schedule carries what its tick is read by, and a refusal names the field."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.scheduler_lambda import logic

AT = datetime(2027, 1, 31, 8, tzinfo=UTC)
CHANGE = {
    "order_id": "o-1",
    "customer_id": "c-1",
    "version": 3,
    "remind_at": "2027-01-31T08:00:00Z",
}
TICK = {
    "schedule": "o-1",
    "scheduled_at": "2027-01-31T08:00:00Z",
    "execution": "<aws.scheduler.execution-id>",
    "attempt": "<aws.scheduler.attempt-number>",
    "input": {"kind": "reminder", "order_id": "o-1", "customer_id": "c-1", "version": 3},
}


def change(**fields: Any) -> logic.Change:
    message: Any = SimpleNamespace(body=json.dumps(CHANGE | fields))
    return logic.parse_change(message)


def test_a_change_becomes_a_schedule_and_the_schedule_its_tick() -> None:
    made = logic.tick(change(), AT)
    assert made == TICK
    assert logic.version_of({"Target": {"Input": json.dumps(made)}}) == 3
    assert logic.version_of({}) == 0
    tick = logic.parse_tick(made)
    assert (tick.key, tick.execution, tick.given) == (
        "o-1#2027-01-31T08:00:00Z",
        TICK["execution"],
        TICK["input"],
    )
    assert tick.late(AT) == 0
    assert change(remind_at=None).remind_at is None


@pytest.mark.parametrize(
    ("reason", "field", "value"),
    [
        ("field", "order_id", ""),
        ("field", "customer_id", 7),
        ("field", "version", -1),
        ("time", "remind_at", 1),
        ("field", "The change", None),
    ],
)
def test_a_refused_change_names_its_field(reason: str, field: str, value: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        change(**{field: value})
    assert (refused.value.reason, refused.value.detail.find(field)) == (reason, 0)


@pytest.mark.parametrize(
    ("reason", "field", "value"),
    [
        ("field", "input", []),
        ("field", "schedule", "x" * 257),
        ("field", "execution", "x" * 65),
        ("time", "scheduled_at", 1),
        ("field", "The tick", None),
    ],
)
def test_a_refused_tick_names_its_field(reason: str, field: str, value: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        logic.parse_tick(TICK | {field: value})
    assert (refused.value.reason, refused.value.detail.find(field)) == (reason, 0)
    logic.parse_tick(TICK | {"schedule": "x" * 256, "execution": "x" * 64})
