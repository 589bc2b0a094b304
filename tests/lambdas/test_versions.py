"""Versions of an owner's items have no gaps, however many write at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import versions
from tests import moto_cloud
from tests.moto_cloud import TABLE, client

if TYPE_CHECKING:
    from collections.abc import Iterator


class Racer:
    """DynamoDB, where others are quicker as often as it is said: between the read and the write."""

    def __init__(self, races: int) -> None:
        self.dynamodb, self.races, self.exceptions = client("dynamodb"), races, None
        self.exceptions = self.dynamodb.exceptions
        self.transact_write_items = self.dynamodb.transact_write_items

    def get_item(self, **given: Any) -> Any:
        found = self.dynamodb.get_item(**given)
        self.races -= 1
        if self.races >= 0:
            versions.put(self.dynamodb, TABLE, "one", f"other-{self.races}", {})
        return found


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with moto_cloud.cloud(monkeypatch, tables={TABLE: ("pk", "sk")}) as made:
        yield made


def written(cloud: Any) -> dict[str, int]:
    return {
        item["sk"]: int(item.get("version") or item["newest"])
        for item in cloud.items() if item["pk"] == "one"
    }  # fmt: skip


def test_two_writers_at_once_take_different_versions_and_leave_no_gap(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = list[float]()
    monkeypatch.setattr("random.random", lambda: 1.0)
    assert versions.put(Racer(2), TABLE, "one", "mine", {}, waits.append) == 3
    assert waits == [0.02, 0.04]
    assert versions.put(client("dynamodb"), TABLE, "two", "mine", {}) == 1
    assert written(cloud) == {"other-1": 1, "other-0": 2, "mine": 3, versions.COUNTER: 3}


def test_a_change_says_its_version_and_when_it_was_made_in_milliseconds(cloud: Any) -> None:
    versions.put(client("dynamodb"), TABLE, "one", "mine", {"state": "new"})
    item = next(one for one in cloud.items() if one["sk"] == "mine")
    assert (item["pk"], item["version"], item["state"]) == ("one", "1", "new")
    assert 0 <= time.time() * 1000 - int(item["changed_at"]) < 60_000


def test_a_writer_that_always_meets_others_says_so_and_writes_nothing(cloud: Any) -> None:
    with pytest.raises(versions.ConflictError, match="one"):
        versions.put(Racer(10**6), TABLE, "one", "mine", {}, lambda _: None)
    assert "mine" not in written(cloud)
    assert set(written(cloud).values()) == set(range(1, versions.ATTEMPTS + 1))
