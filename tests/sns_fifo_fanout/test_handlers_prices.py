"""A price list: in order, once, and never an older price over a newer one.

What every consumer promises is in ``tests/lambdas/``.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.sns_fifo_fanout import prices
from tests.moto_cloud import SENT_AT, TABLE, Cloud, cancelled, ids, make_table, record

from .handlers import change, in_order


def run(cloud: Cloud, *sent: dict[str, Any]) -> list[str]:
    return cloud.run(prices.handler, *sent)


def price(cloud: Cloud, part: str = "BRK-PAD-F") -> str | None:
    """Return the current price of a part."""
    found = [i for i in cloud.items() if i["part_id"] == part and i["sk"] == "PRICE"]
    return found[0]["price"] if found else None


def history(cloud: Cloud, part: str = "BRK-PAD-F") -> dict[int, bool]:
    """Return the recorded versions of a part, and whether each came too late."""
    return {
        int(item["version"]): item["superseded"]
        for item in cloud.items()
        if item["part_id"] == part and item["sk"] != "PRICE"
    }


def test_a_change_is_recorded_with_what_it_came_with(cloud: Cloud) -> None:
    sent = in_order(change(7))
    run(cloud, sent)
    (row,) = [item for item in cloud.items() if item["sk"] == "CHANGE#000000000007"]
    assert (row["price"], row["currency"], row["event_id"]) == ("7.90", "EUR", "BRK-PAD-F-7")
    assert (row["message_id"], row["sent_at"]) == (sent["messageId"], str(SENT_AT))
    assert int(row["stored_at"]) > 1_700_000_000_000


@pytest.mark.parametrize("batch", [10, 1])
def test_a_thousand_changes_of_a_price_list_cost_a_hundred_calls(cloud: Cloud, batch: int) -> None:
    taken = cloud.answer_writes()
    sent = [in_order(change(n // 50 + 1, f"part-{n % 50}")) for n in range(100 * batch)]
    for start in range(0, len(sent), batch):
        assert run(cloud, *sent[start : start + batch]) == []
    assert cloud.calls == {"TransactWriteItems": 100}
    assert len(taken) == 2 * len(sent)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1), (2, 40)])
@pytest.mark.parametrize("batch", [3, 1])
def test_an_older_price_never_overwrites_a_newer_one(
    cloud: Cloud, order: tuple[int, ...], batch: int
) -> None:
    sent = [in_order(change(version)) for version in order]
    for start in range(0, len(sent), batch):
        assert run(cloud, *sent[start : start + batch]) == []
    assert price(cloud) == f"{max(order)}.90"
    late = {version: version < max(order[: n + 1]) for n, version in enumerate(order)}
    assert history(cloud) == late
    kinds = [line["outcomes"].get("superseded", 0) for line in cloud.log_lines("Batch")]
    assert sum(kinds) == sum(late.values())


def test_a_late_price_in_one_batch_with_a_newer_one_is_known_as_late(cloud: Cloud) -> None:
    run(cloud, in_order(change(4)))
    assert run(cloud, in_order(change(3)), in_order(change(5))) == []
    assert history(cloud) == {3: True, 4: False, 5: False}
    assert price(cloud) == "5.90"


@pytest.mark.parametrize("batch", [4, 2])
def test_a_change_that_comes_twice_takes_effect_once(cloud: Cloud, batch: int) -> None:
    sent = [in_order(change(version)) for version in (1, 2, 1, 2)]
    for start in range(0, 4, batch):
        assert run(cloud, *sent[start : start + batch]) == []
    assert history(cloud) == {1: False, 2: False}
    assert price(cloud) == "2.90"
    assert cloud.letters() == []


def test_new_changes_beside_duplicates_cost_one_more_write(cloud: Cloud) -> None:
    run(cloud, *[in_order(change(version)) for version in (1, 2)])
    cloud.calls.clear()
    assert run(cloud, *[in_order(change(version)) for version in (1, 2, 3)]) == []
    assert cloud.calls == {"TransactWriteItems": 2}
    assert price(cloud) == "3.90"


def test_a_replay_of_everything_changes_nothing(cloud: Cloud) -> None:
    sent = [change(version, part) for version in range(1, 6) for part in ("a", "b")]
    run(cloud, *map(in_order, sent))
    before = cloud.items()
    for start in range(0, len(sent), 3):
        assert run(cloud, *map(in_order, sent[start : start + 3])) == []
    assert cloud.items() == before
    assert cloud.letters() == []


def test_another_price_under_a_known_version_is_refused(cloud: Cloud) -> None:
    run(cloud, in_order(change(1)))
    other = in_order(change(1, event_id="other", price="0.01"))
    assert run(cloud, other, in_order(change(2))) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == other["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "conflict"
    assert letter["MessageAttributes"]["channels"]["StringValue"] == '["wholesale"]'
    assert price(cloud) == "2.90"


def test_a_message_in_another_group_is_refused(cloud: Cloud) -> None:
    assert run(cloud, record(change(1), "somebody-else")) == []
    assert cloud.items() == []
    assert cloud.reasons() == {"group": 1}


def test_a_part_that_another_write_is_busy_with_fails_alone(cloud: Cloud) -> None:
    busy, free = in_order(change(1, "busy")), in_order(change(1, "free"))
    cloud.fail_all_about("PART#busy")
    assert run(cloud, busy, free) == ids(busy)
    assert (price(cloud, "free"), price(cloud, "busy")) == ("1.90", None)
    assert cloud.log_lines("Batch")[0]["failures"] == {"TransactionCanceled": 1}


def test_a_write_that_is_canceled_once_is_repeated(cloud: Cloud) -> None:
    cloud.fail("TransactWriteItems", cancelled("None", "TransactionConflict"))
    assert run(cloud, in_order(change(1))) == []
    assert price(cloud) == "1.90"


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_whatever_arrives_in_whatever_order_the_newest_price_counts(
    cloud: Cloud, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - test data
    make_table(TABLE, "pk", "sk")
    parts = ["a", "b"]
    sent = [in_order(change(v, part)) for part in parts for v in range(1, 6)]
    deliveries = sent + rng.sample(sent, 4)
    rng.shuffle(deliveries)
    while deliveries:
        batch = [deliveries.pop() for _ in range(min(len(deliveries), rng.randint(1, 10)))]
        assert run(cloud, *batch) == []
    for part in parts:
        assert price(cloud, part) == "5.90"
        assert set(history(cloud, part)) == {1, 2, 3, 4, 5}
