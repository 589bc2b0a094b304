"""The producer sends everything, in few calls, and again what Kinesis did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl
from serverless_patterns.lambdas.kinesis_firehose_s3.producer import (
    AGGREGATE_BYTES,
    MAX_CALL_BYTES,
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    Producer,
)

from .conftest import STREAM, click, to_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        results: list[dict[str, str]] = []
        for position, record in enumerate(Records):
            if position in failing:
                results.append({"ErrorCode": "ProvisionedThroughputExceededException"})
            else:
                self.taken.append(record["Data"])
                results.append({"ShardId": "shardId-0", "SequenceNumber": "1"})
        return {"FailedRecordCount": len(failing), "Records": results}


def producer(client: Any, **options: Any) -> Producer:
    return Producer(client, STREAM, **{"sleep": lambda _: None} | options)


def test_every_event_is_in_the_stream_once(cloud: Cloud) -> None:
    sent = producer(cloud.kinesis).put(CLICKS)
    assert sorted(sent.accepted) == list(range(1_000))
    assert not sent.refused
    assert not sent.failed
    assert sorted(cloud.events()) == sorted(CLICKS)


def test_a_thousand_clicks_take_one_call(cloud: Cloud) -> None:
    producer(cloud.kinesis).put(CLICKS)
    assert cloud.calls == {"PutRecords": 1}


def test_a_thousand_clicks_each_in_its_own_record_take_two_calls(cloud: Cloud) -> None:
    producer(cloud.kinesis, aggregate=False).put(CLICKS)
    assert cloud.calls == {"PutRecords": 2}


def test_one_click_at_a_time_takes_a_call_a_click(cloud: Cloud) -> None:
    for data in CLICKS[:100]:
        cloud.kinesis.put_record(StreamName=STREAM, Data=data, PartitionKey="user-7")
    assert cloud.calls == {"PutRecord": 100}


def test_small_events_share_records_of_one_payload_unit(cloud: Cloud) -> None:
    producer(cloud.kinesis).put(CLICKS)
    sizes = [len(record["Data"]) for record in cloud.records()]
    assert len(sizes) <= 1 + sum(map(len, CLICKS)) // (AGGREGATE_BYTES - 1_000)
    # The partition key, the magic number and the checksum come on top.
    assert max(sizes) <= AGGREGATE_BYTES + 40 < 25 * 1024


def test_one_users_clicks_spread_over_every_shard(cloud: Cloud) -> None:
    sent = producer(cloud.kinesis, aggregate=False).put(CLICKS[:400])
    assert len(sent.shards) == 4
    assert max(sent.shards.values()) < 200


def test_an_event_alone_is_not_aggregated(cloud: Cloud) -> None:
    producer(cloud.kinesis).put([b"alone"])
    assert [record["Data"] for record in cloud.records()] == [b"alone"]


def test_only_what_kinesis_did_not_take_is_sent_again() -> None:
    client = ThrottlingKinesis([1, 3], [0])
    sent = producer(client, aggregate=False).put([b"a", b"b", b"c", b"d"])
    assert [len(call) for call in client.calls] == [4, 2, 1]
    assert sorted(client.taken) == [b"a", b"b", b"c", b"d"]
    assert sorted(sent.accepted) == [0, 1, 2, 3]
    assert not sent.failed


def test_every_event_of_a_throttled_record_is_sent_again() -> None:
    client = ThrottlingKinesis([0])
    sent = producer(client).put([b"a", b"b"])
    assert [kpl.split(record) for record in client.taken] == [[b"a", b"b"]]
    assert sent.accepted == [0, 1]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "InternalFailure", "Message": ""}}, "PutRecords"),
        EndpointConnectionError(endpoint_url="https://kinesis"),
    ],
    ids=["of the service", "of the network"],
)
def test_a_call_that_fails_as_a_whole_is_made_again(error: Exception) -> None:
    client = ThrottlingKinesis(error)
    sent = producer(client).put([b"a"])
    assert (sent.accepted, sent.calls) == ([0], 2)


def test_what_is_never_taken_is_said_with_the_reason() -> None:
    client = ThrottlingKinesis(*[[0]] * 9)
    sent = producer(client, aggregate=False, give_up_after=0.0).put([b"a", b"b"])
    assert sent.accepted == [1]
    assert sent.failed == {0: "ProvisionedThroughputExceededException"}


def test_between_two_tries_it_waits_longer_and_longer_with_jitter() -> None:
    waits: list[float] = []
    client = ThrottlingKinesis(*[[0]] * 30)
    producer(client, sleep=waits.append).put([b"a"])
    assert len(waits) == 30
    assert all(wait <= min(5.0, 0.1 * 2 ** (n + 1)) for n, wait in enumerate(waits))
    assert len(set(waits)) > 20


def test_what_no_record_can_hold_is_refused_and_nothing_else() -> None:
    client = ThrottlingKinesis()
    largest = b"x" * (MAX_RECORD_BYTES - 16)
    sent = producer(client).put([b"a", largest + b"x", b"", largest])
    assert sent.refused == [1, 2]
    assert sorted(sent.accepted) == [0, 3]
    assert largest in client.taken


def test_nothing_to_send_makes_no_call() -> None:
    client = ThrottlingKinesis()
    assert producer(client).put([]).calls == 0
    assert client.calls == []


def test_a_call_keeps_to_the_limits_of_put_records() -> None:
    client = ThrottlingKinesis()
    producer(client, aggregate=False).put([b"x" * 900_000] * 7 + [b"y"] * 1_100)
    for call in client.calls:
        assert len(call) <= MAX_RECORDS
        assert sum(len(r["Data"]) + len(r["PartitionKey"]) for r in call) <= MAX_CALL_BYTES
    assert len(client.calls) == 4
    assert len(client.taken) == 1_107
