"""The producer sends everything, in few calls, and again what Kinesis did not accept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.streams import (
    AGGREGATE_BYTES,
    KEY_BYTES,
    MAX_CALL_BYTES,
    MAX_KEY,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    Producer,
    Sent,
)
from tests.moto_cloud import UNREACHABLE, client_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EVENTS = [b'{"id": %d, "page": "/parts"}' % number for number in range(10_000)]


class Kinesis:
    """A stream of four shards that fails records as it is told to; moto's accepts everything.

    Args:
        failures: For each call the records that fail, by position, or the error of the call.
    """

    def __init__(self, *failures: Sequence[int] | Exception) -> None:
        self.failures = list(failures)
        self.calls: list[list[Any]] = []
        self.data: list[bytes] = []

    def put_records(self, StreamName: str, Records: list[Any]) -> dict[str, Any]:  # noqa: N803
        assert StreamName == "stream"
        assert Records, "a call without records"
        self.calls.append(Records)
        failing = self.failures.pop(0) if self.failures else []
        if isinstance(failing, Exception):
            raise failing
        self.data += [it["Data"] for n, it in enumerate(Records) if n not in failing]
        answers = [
            {"ErrorCode": "Throttled"} if n in failing else {"ShardId": shard(it["PartitionKey"])}
            for n, it in enumerate(Records)
        ]
        return {"FailedRecordCount": len(failing), "Records": answers}


def shard(partition_key: str) -> str:
    """Return the shard of a key as Kinesis chooses it: each has a range of the keys' MD5."""
    first = hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()[0]
    return f"shardId-{first // 64}"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the producer would have waited."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def put(client: Any, events: Iterable[bytes], **options: Any) -> Sent:
    return Producer(client, "stream", **options).put(events)


def test_thousands_of_small_events_take_one_call() -> None:
    kinesis = Kinesis()
    sent = put(kinesis, EVENTS)
    assert len(kinesis.calls) == sent.calls == 1
    assert sorted(sent.accepted) == list(range(len(EVENTS)))
    assert (sent.refused, sent.failed) == ([], {})
    assert [event for data in kinesis.data for event in kpl.split(data)] == EVENTS
    # Records of one payload unit; partition key, magic number and checksum come on top.
    sizes = [len(data) for data in kinesis.data]
    assert len(sizes) <= 1 + sum(len(it) + kpl.overhead(it) for it in EVENTS) // AGGREGATE_BYTES
    assert max(sizes) <= AGGREGATE_BYTES + 40 < 25 * 1024


def test_events_spread_over_every_shard() -> None:
    sent = put(Kinesis(), EVENTS[:400], aggregate=False)
    assert sent.shards.total() == 400
    assert len(sent.shards) == 4
    assert max(sent.shards.values()) < 200


def test_an_event_alone_is_not_aggregated() -> None:
    kinesis = Kinesis()
    put(kinesis, [b"alone"])
    assert kinesis.data == [b"alone"]


def test_only_what_kinesis_did_not_accept_is_sent_again() -> None:
    kinesis = Kinesis([1, 3], [0])
    sent = put(kinesis, [b"a", b"b", b"c", b"d"], aggregate=False)
    assert [len(call) for call in kinesis.calls] == [4, 2, 1]
    assert sorted(kinesis.data) == [b"a", b"b", b"c", b"d"]
    assert (sorted(sent.accepted), sent.failed) == ([0, 1, 2, 3], {})


FAILURES = {"record": [0], "call": client_error("InternalFailure"), "network": UNREACHABLE}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_every_event_of_a_failed_record_or_call_is_sent_again(failure: Any) -> None:
    kinesis = Kinesis(failure)
    sent = put(kinesis, [b"a", b"b"])
    assert [kpl.split(data) for data in kinesis.data] == [[b"a", b"b"]]
    assert (sent.accepted, sent.calls) == ([0, 1], 2)


def test_events_that_are_never_accepted_are_reported_with_the_reason() -> None:
    sent = put(Kinesis(*[[0]] * 9), [b"a", b"b"], aggregate=False, give_up_after=0.0)
    assert (sent.accepted, sent.failed) == ([1], {0: "Throttled"})


def test_between_two_attempts_it_waits_longer_and_longer_with_jitter(waits: list[float]) -> None:
    put(Kinesis(*[[0]] * 30), [b"a"])
    assert len(waits) == 30
    assert all(wait <= min(5.0, 0.1 * 2 ** (n + 1)) for n, wait in enumerate(waits))
    assert len(set(waits)) > 20
    assert max(waits) > 2


def test_an_event_that_no_record_can_hold_is_refused_and_no_other() -> None:
    kinesis, largest = Kinesis(), b"x" * (MAX_RECORD_BYTES - 16)
    sent = put(kinesis, [b"a", largest + b"x", b"", largest])
    assert (sent.refused, sorted(sent.accepted)) == ([1, 2], [0, 3])
    assert largest in kinesis.data
    assert put(kinesis, []).calls == 0


def test_a_call_keeps_to_the_limits_of_put_records() -> None:
    kinesis = Kinesis()
    put(kinesis, [b"x" * 900_000] * 7 + [b"y"] * 1_100, aggregate=False)
    for call in kinesis.calls:
        assert len(call) <= MAX_RECORDS
        assert sum(len(r["Data"]) + len(r["PartitionKey"]) for r in call) <= MAX_CALL_BYTES
    assert (len(kinesis.calls), len(kinesis.data)) == (4, 1_107)


def test_a_call_is_full_to_the_byte_with_its_partition_keys_and_so_is_an_aggregate() -> None:
    kinesis, full = Kinesis(), [b"x" * (MAX_CALL_BYTES // 8 - KEY_BYTES)] * 8
    put(kinesis, [*full, b"one more", *full], aggregate=False)
    assert [len(call) for call in kinesis.calls] == [8, 8, 1]
    assert {len(record["PartitionKey"]) for record in kinesis.calls[0]} == {KEY_BYTES}
    event = b"x" * (AGGREGATE_BYTES // 8)
    event = event[: -kpl.overhead(event)]
    kinesis = Kinesis()
    put(kinesis, [*[event] * 8, b"y", *[event] * 8])
    assert [len(kpl.split(data)) for data in kinesis.data] == [8, 8, 1]


def test_time_is_up_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1.0)
    kinesis = Kinesis([0], [0], AssertionError("sent after the end"))
    assert put(kinesis, [b"a"], give_up_after=0).calls == 1


def test_failures_of_every_call_are_reported_and_their_keys_stay_behind() -> None:
    """The first call of a round fails, the second does not: neither is forgotten."""
    first, rest = Kinesis(client_error("AccessDenied")), client_error("AccessDenied")
    events = [b"%d:%d" % (key, turn) for turn in range(2) for key in range(MAX_RECORDS + 1)]
    options: dict[str, Any] = {"key": key_of, "aggregate": False, "give_up_after": 0}
    sent = put(first, events, **options)
    assert sent.accepted == [MAX_RECORDS, len(events) - 1]
    assert len(sent.failed) == len(events) - 2
    sent = put(Kinesis(rest, rest), events, **options)
    assert [*sent.failed.values()].count("AccessDenied") == MAX_RECORDS + 1


def key_of(event: bytes) -> str:
    return event.partition(b":")[0].decode()


@pytest.mark.parametrize("aggregate", [True, False])
def test_no_record_of_a_key_overtakes_one_that_failed(aggregate: bool) -> None:
    kinesis = Kinesis([0], [1], [0, 1], UNREACHABLE, [0])
    events = [b"%d:%05d" % (n % 3, n) for n in range(12)]
    padded = [event + b"." * (AGGREGATE_BYTES // 3) for event in events]
    sent = put(kinesis, padded, key=key_of, aggregate=aggregate)
    assert sorted(sent.accepted) == [*range(12)]
    for key in "012":
        arrived = [event for data in kinesis.data for event in kpl.split(data)]
        assert [event for event in arrived if key_of(event) == key] == [
            event for event in padded if key_of(event) == key
        ]
    for call in kinesis.calls:
        keys = [record["PartitionKey"] for record in call]
        assert len(keys) == len(set(keys)), "a call has one record of a key"


def test_events_with_a_key_share_records_only_on_request() -> None:
    events = [b"a:1", b"b:1", b"a:2"]
    for aggregate, records in ((None, 3), (True, 2)):
        kinesis = Kinesis()
        put(kinesis, events, key=key_of, aggregate=aggregate)
        assert len(kinesis.data) == records


def test_events_behind_one_that_was_given_up_are_not_sent() -> None:
    kinesis = Kinesis(client_error("AccessDenied"))
    events = [b"a:1", b"b:1", b"a:2"]
    sent = put(kinesis, events, key=key_of, aggregate=False, give_up_after=0)
    assert sent.failed == {0: "AccessDenied", 1: "AccessDenied", 2: "BehindAFailure"}
    assert sum(len(call) for call in kinesis.calls) == 2


@pytest.mark.parametrize("bad", ["", "k" * (MAX_KEY + 1)])
def test_an_event_whose_key_kinesis_does_not_take_is_refused_and_no_other_with_it(bad: str) -> None:
    kinesis, keys = Kinesis(), {b"1": "a", b"2": bad, b"3": "b", b"4": "k" * MAX_KEY}
    sent = put(kinesis, keys, key=keys.__getitem__)
    assert (sent.accepted, sent.refused) == ([0, 2, 3], [1])
    assert sorted(record["PartitionKey"] for record in kinesis.calls[0]) == ["a", "b", "k" * 256]


def test_a_long_key_is_counted_in_its_record_and_its_call() -> None:
    key = "ü" * MAX_KEY
    kinesis, fits = Kinesis(), MAX_RECORD_BYTES - len(key.encode())
    assert put(kinesis, [b"x" * fits, b"x" * (fits + 1)], key=lambda _: key).refused == [1]
    names = [f"{n:04}{'ü' * 250}" for n in range(500)]
    events = {b"%04d" % n + b"." * 10_400: name for n, name in enumerate(names)}
    put(kinesis, events, key=events.__getitem__)
    for call in kinesis.calls:
        size = sum(len(r["Data"]) + len(r["PartitionKey"].encode()) for r in call)
        assert size <= MAX_CALL_BYTES
