"""Publishing in batches: in order for each part, whatever fails in part."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation.topics import MAX_BYTES
from serverless_patterns.lambdas.sns_fifo_fanout.publisher import publish
from tests import moto_cloud
from tests.moto_cloud import UNREACHABLE, client_error

from .handlers import change

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.lambdas.foundation.publishing import Published

    Entry = dict[str, Any]

INTERNAL = {"Code": "InternalError", "SenderFault": False}
INVALID = {"Code": "InvalidParameter", "SenderFault": True}


@dataclass
class Sns:
    """A FIFO topic that fails as it is told to: neither moto nor AWS can be made to.

    Args:
        fails: Gives the failure of an entry at a call, if any.
        loses: Whether the entry is published although the call says that it failed.
    """

    fails: Callable[[Entry, int], dict[str, Any] | None] = lambda entry, call: None
    loses: Callable[[Entry], bool] = lambda entry: False
    calls: int = 0
    groups: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def publish_batch(self, **request: Any) -> dict[str, Any]:
        entries = request["PublishBatchRequestEntries"]
        self.calls += 1
        assert 1 <= len({entry["MessageGroupId"] for entry in entries}) == len(entries) <= 10
        if len(entries) > 1:
            assert sum(len(entry["Message"].encode()) for entry in entries) <= MAX_BYTES
        answer: dict[str, list[Any]] = {"Successful": [], "Failed": []}
        for entry in entries:
            failure = self.fails(entry, self.calls)
            event_id = entry["MessageDeduplicationId"]
            published = self.groups[entry["MessageGroupId"]]
            if (failure is None or self.loses(entry)) and event_id not in published:
                published.append(event_id)
            if failure:
                answer["Failed"].append({"Id": entry["Id"], **failure})
            else:
                answer["Successful"].append({"Id": entry["Id"], "MessageId": f"m-{event_id}"})
        return answer


def changes(parts: int, each: int) -> list[dict[str, Any]]:
    return [change(v, f"p{part}") for v in range(1, each + 1) for part in range(parts)]


def put(sns: Any, sent: list[dict[str, Any]], **options: Any) -> Published:
    return publish(sns, "arn", sent, **{"sleep": lambda _: None} | options)


def test_an_entry_is_complete() -> None:
    seen: list[Entry] = []
    put(Sns(fails=lambda entry, _: seen.append(entry)), [change(1)])
    (entry,) = seen
    assert entry["MessageGroupId"] == "BRK-PAD-F"
    assert entry["MessageDeduplicationId"] == "BRK-PAD-F-1"
    assert entry["MessageAttributes"]["channels"] == {
        "DataType": "String.Array",
        "StringValue": '["wholesale", "retail"]',
    }


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 0.5))
def test_whatever_fails_in_part_each_part_is_published_in_order(seed: int, share: float) -> None:
    rng = random.Random(seed)  # noqa: S311 - test data
    sns = Sns(
        fails=lambda entry, _: INTERNAL if rng.random() < share else None,
        loses=lambda entry: rng.random() < 0.5,
    )
    sent = changes(13, 6)
    published = put(sns, sent, attempts=100)
    assert set(published.accepted) == {one["event_id"] for one in sent}
    for part, found in sns.groups.items():
        assert found == [f"{part}-{version}" for version in range(1, 7)]


def test_what_is_refused_is_told_and_the_others_go_on() -> None:
    sns = Sns(fails=lambda entry, _: INVALID if entry["MessageGroupId"] == "p3" else None)
    published = put(sns, changes(5, 2))
    assert published.refused == {"p3-1": "InvalidParameter", "p3-2": "InvalidParameter"}
    assert len(published.accepted) == 8
    assert published.unpublished == {}


def test_nothing_of_a_part_is_published_behind_a_gap() -> None:
    sns = Sns(
        fails=lambda entry, _: INTERNAL if entry["MessageDeduplicationId"] == "p1-2" else None
    )
    published = put(sns, changes(3, 4), attempts=5)
    assert published.unpublished == dict.fromkeys(("p1-2", "p1-3", "p1-4"), "InternalError")
    assert sns.groups["p1"] == ["p1-1"]
    assert sns.calls == 1 + 5  # five attempts; what the others had to send went along
    assert len(published.accepted) == 9


def test_publishing_a_thousand_changes_costs_a_hundred_calls() -> None:
    sns = Sns()
    assert len(put(sns, changes(50, 20)).accepted) == 1_000
    assert sns.calls == 100


def test_it_waits_longer_from_attempt_to_attempt() -> None:
    waits: list[float] = []
    sns = Sns(fails=lambda entry, call: INTERNAL if call < 8 else None)
    assert put(sns, [change(1)], sleep=waits.append).accepted
    assert len(waits) == 7
    assert all(0 <= wait <= 5 for wait in waits)


@pytest.mark.parametrize("size", [30_000, 100_000, 300_000])
def test_a_batch_is_no_larger_than_sns_takes(size: int) -> None:
    sns = Sns()
    sent = [change(1, f"p{part}", price="9" * size) for part in range(10)]
    assert len(put(sns, sent).accepted) == 10


def test_a_call_that_is_refused_does_not_take_the_others_with_it() -> None:
    class Refuses(Sns):
        def publish_batch(self, **request: Any) -> dict[str, Any]:
            if "p2" in [e["MessageGroupId"] for e in request["PublishBatchRequestEntries"]]:
                raise client_error("InvalidParameter")
            return super().publish_batch(**request)

    published = put(Refuses(), changes(4, 1))
    assert published.refused == {"p2-1": "InvalidParameter"}
    assert len(published.accepted) == 3


@pytest.mark.parametrize("error", [client_error("Throttled"), UNREACHABLE], ids=str)
def test_a_call_that_fails_is_repeated(error: Exception) -> None:
    class Fails(Sns):
        def publish_batch(self, **request: Any) -> dict[str, Any]:
            self.calls += 1
            if self.calls < 3:
                raise error
            return super().publish_batch(**request)

    assert len(put(Fails(), changes(4, 1)).accepted) == 4


def test_sns_takes_what_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [change(1), change(1, "OIL-FLT-3"), change(2)]
    with moto_cloud.cloud(monkeypatch) as cloud:
        sns, sqs = moto_cloud.client("sns"), moto_cloud.client("sqs")
        arn = sns.create_topic(Name="prices.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        found = sqs.get_queue_attributes(QueueUrl=cloud.fifo_queue_url, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=found["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        assert len(publish(sns, arn, sent).accepted) == 3
        bodies = [json.loads(letter["Body"]) for letter in cloud.letters()]
    assert sorted(bodies, key=str) == sorted(sent, key=str)
