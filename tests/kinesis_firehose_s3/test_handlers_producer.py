"""The producer sends everything, in few calls, and again what Kinesis did not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl
from serverless_patterns.lambdas.kinesis_firehose_s3.producer import (
    AGGREGATE_BYTES,
    MAX_CALL_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    Producer,
    Sent,
)
from tests.moto_cloud import UNREACHABLE, client_error

from .conftest import STREAM, THROTTLED, click, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .conftest import Cloud

CLICKS = [to_bytes(click(number)) for number in range(1_000)]


class ThrottlingKinesis:
    """A stream that fails records as it is told to; moto's takes everything.

    Args:
        failures: For each call the records that fail, by position, or the error of the call.
    """

    def __init__(self, *failures: Sequence[int] | Exception) -> None:
        self.failures = list(failures)
        self.calls: list[list[Any]] = []
        self.taken: list[bytes] = []

    def put_records(self, StreamName: str, Records: list[Any]) -> dict[str, Any]:  # noqa: N803
        self.calls.append(Records)
        failing = self.failures.pop(0) if self.failures else []
        if isinstance(failing, Exception):
            raise failing
        self.taken += [it["Data"] for n, it in enumerate(Records) if n not in failing]
        taken = {"ShardId": "shardId-0", "SequenceNumber": "1"}
        return {"Records": [THROTTLED if n in failing else taken for n in range(len(Records))]}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the producer would have waited."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def put(client: Any, events: Iterable[bytes], **options: Any) -> Sent:
    return Producer(client, STREAM, **options).put(events)


def test_a_thousand_clicks_take_one_call(cloud: Cloud) -> None:
    sent = put(cloud.kinesis, CLICKS)
    assert cloud.calls == {"PutRecords": sent.calls} == {"PutRecords": 1}
    assert sorted(sent.accepted) == list(range(1_000))
    assert (sent.refused, sent.failed) == ([], {})
    assert sorted(cloud.events()) == sorted(CLICKS)
    # Records of one payload unit; partition key, magic number and checksum come on top.
    sizes = [len(record["Data"]) for record in cloud.records()]
    assert len(sizes) <= 1 + sum(map(len, CLICKS)) // (AGGREGATE_BYTES - 1_000)
    assert max(sizes) <= AGGREGATE_BYTES + 40 < 25 * 1024


def test_one_users_clicks_spread_over_every_shard(cloud: Cloud) -> None:
    sent = put(cloud.kinesis, CLICKS, aggregate=False)
    assert cloud.calls == {"PutRecords": 2}
    assert len(sent.shards) == 4
    assert max(sent.shards.values()) < 500


def test_an_event_alone_is_not_aggregated(cloud: Cloud) -> None:
    put(cloud.kinesis, [b"alone"])
    assert [record["Data"] for record in cloud.records()] == [b"alone"]


def test_only_what_kinesis_did_not_accept_is_sent_again() -> None:
    client = ThrottlingKinesis([1, 3], [0])
    sent = put(client, [b"a", b"b", b"c", b"d"], aggregate=False)
    assert [len(call) for call in client.calls] == [4, 2, 1]
    assert sorted(client.taken) == [b"a", b"b", b"c", b"d"]
    assert (sorted(sent.accepted), sent.failed) == ([0, 1, 2, 3], {})


@pytest.mark.parametrize(
    "failure",
    [[0], client_error("InternalFailure"), UNREACHABLE],
    ids=["record", "call", "network"],
)
def test_every_event_of_a_failed_record_or_call_is_sent_again(failure: Any) -> None:
    client = ThrottlingKinesis(failure)
    sent = put(client, [b"a", b"b"])
    assert [kpl.split(record) for record in client.taken] == [[b"a", b"b"]]
    assert (sent.accepted, sent.calls) == ([0, 1], 2)


def test_events_that_are_never_accepted_are_reported_with_the_reason() -> None:
    client = ThrottlingKinesis(*[[0]] * 9)
    sent = put(client, [b"a", b"b"], aggregate=False, give_up_after=0.0)
    assert sent.accepted == [1]
    assert sent.failed == {0: THROTTLED["ErrorCode"]}


def test_between_two_attempts_it_waits_longer_and_longer_with_jitter(waits: list[float]) -> None:
    put(ThrottlingKinesis(*[[0]] * 30), [b"a"])
    assert len(waits) == 30
    assert all(wait <= min(5.0, 0.1 * 2 ** (n + 1)) for n, wait in enumerate(waits))
    assert len(set(waits)) > 20


def test_an_event_that_no_record_can_hold_is_refused_and_no_other() -> None:
    client = ThrottlingKinesis()
    largest = b"x" * (MAX_RECORD_BYTES - 16)
    sent = put(client, [b"a", largest + b"x", b"", largest])
    assert (sent.refused, sorted(sent.accepted)) == ([1, 2], [0, 3])
    assert largest in client.taken
    assert put(client, []).calls == 0


def test_a_call_keeps_to_the_limits_of_put_records() -> None:
    client = ThrottlingKinesis()
    put(client, [b"x" * 900_000] * 7 + [b"y"] * 1_100, aggregate=False)
    for call in client.calls:
        assert len(call) <= MAX_RECORDS
        assert sum(len(r["Data"]) + len(r["PartitionKey"]) for r in call) <= MAX_CALL_BYTES
    assert (len(client.calls), len(client.taken)) == (4, 1_107)
