"""What a thousand price changes cost in AWS calls, next to one at a time."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.sns_fifo_fanout import lake, price_list
from serverless_patterns.lambdas.sns_fifo_fanout.publisher import publish

from .events import change, in_order, record

if TYPE_CHECKING:
    from .conftest import Cloud

EVENTS = 1_000
PARTS = 50
CHANGES = [change(number // PARTS + 1, f"part-{number % PARTS}") for number in range(EVENTS)]


@pytest.fixture
def quick(cloud: Cloud) -> Cloud:
    """AWS that takes every write: moto copies the whole table for every action of a transaction."""

    def done(**_: Any) -> Any:
        return SimpleNamespace(status_code=200), {}

    for client in (price_list.client(), lake.client()):
        client.meta.events.register("before-call", done)
    return cloud


@pytest.mark.parametrize(("batch", "calls"), [(10, 100), (1, 1_000)])
def test_a_thousand_changes_of_a_price_list_cost_a_hundred_calls(
    quick: Cloud, batch: int, calls: int
) -> None:
    for start in range(0, EVENTS, batch):
        assert quick.prices(*map(in_order, CHANGES[start : start + batch])) == []
    assert quick.calls == {"TransactWriteItems": calls}


@pytest.mark.parametrize(("batch", "calls"), [(500, 2), (1, 1_000)])
def test_a_thousand_lines_of_the_lake_cost_two_calls_a_day(
    quick: Cloud, batch: int, calls: int
) -> None:
    for start in range(0, EVENTS, batch):
        assert quick.analytics(*map(record, CHANGES[start : start + batch])) == []
    assert quick.calls == {"PutObject": calls}


def test_publishing_a_thousand_changes_costs_a_hundred_calls() -> None:
    class Sns:
        """Counts; what SNS takes is tested in test_publisher.py."""

        calls = 0

        def publish_batch(self, **request: Any) -> dict[str, Any]:
            self.calls += 1
            entries = request["PublishBatchRequestEntries"]
            assert len({entry["MessageGroupId"] for entry in entries}) == len(entries) == 10
            assert len(json.dumps(entries)) < 256 * 1024
            return {"Successful": [{"Id": e["Id"], "MessageId": "m"} for e in entries]}

    sns = Sns()
    assert len(publish(sns, "arn", CHANGES).accepted) == EVENTS
    assert sns.calls == 100
