"""Events → Kinesis, in as few calls as it takes, and again what Kinesis did not take of a call."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from . import kpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_kinesis import KinesisClient

# Amazon Kinesis Data Streams API reference, "PutRecords": 500 records a call. A call may be larger
# than 5 MiB by now, but one shard takes 1 MiB/s, and emulators keep to the older limit.
MAX_RECORDS = 500
MAX_CALL_BYTES = 5 * 1024**2
# A stream takes 1 MiB a record unless it is told otherwise; Firehose takes 1,000 KiB.
MAX_RECORD_BYTES = 1000 * 1024
# One payload unit of a provisioned stream is 25 KB: filled with small events, it costs the same.
AGGREGATE_BYTES = 25_000
KEY_BYTES = 16


@dataclass
class Sent:
    """What became of the events.

    Args:
        accepted: Positions of those that Kinesis holds.
        refused: Positions of those that no record can hold; they were not sent.
        failed: Positions of those that Kinesis did not take within the time, with its error code.
        shards: Records that each shard took.
        calls: Calls to AWS.
        seconds: How long each call took.
    """

    accepted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Record:
    positions: tuple[int, ...]
    entry: Any

    @property
    def size(self) -> int:
        return len(self.entry["Data"]) + len(self.entry["PartitionKey"])


class Producer:
    """Puts events into a stream; order is not kept, since Firehose keeps none.

    Partition keys are random, so that a user who clicks a lot never makes one shard hot. Small
    events share a record (Kinesis Producer Library's format), which Firehose takes apart again.

    Args:
        client: Of Kinesis.
        stream_name: The stream.
        aggregate: Whether small events share records. Default: yes.
        give_up_after: Seconds of trying again what Kinesis did not take. Default: 60.
        sleep: For tests. Default: ``time.sleep``.
    """

    def __init__(
        self,
        client: KinesisClient,
        stream_name: str,
        *,
        aggregate: bool = True,
        give_up_after: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._stream_name = stream_name
        self._aggregate = aggregate
        self._give_up_after = give_up_after
        self._sleep = sleep

    def put(self, events: Iterable[bytes]) -> Sent:
        """Send all events, and again what failed, until it is taken or the time is over."""
        sent = Sent()
        numbered: list[tuple[int, bytes]] = []
        for position, event in enumerate(events):
            if 0 < len(event) <= MAX_RECORD_BYTES - KEY_BYTES:
                numbered.append((position, event))
            else:
                sent.refused.append(position)
        records = _together(numbered) if self._aggregate else [_alone(*one) for one in numbered]
        for call in aws.batches(
            records, most=MAX_RECORDS, largest=MAX_CALL_BYTES, size=lambda record: record.size
        ):
            self._put_until_taken(call, sent)
        return sent

    def _put_until_taken(self, records: Sequence[_Record], sent: Sent) -> None:
        deadline = time.monotonic() + self._give_up_after
        attempt = 0
        while records:
            codes = self._put(records, sent)
            for record, code in zip(records, codes, strict=True):
                if not code:
                    sent.accepted += record.positions
            left = [(r, code) for r, code in zip(records, codes, strict=True) if code]
            if left and time.monotonic() >= deadline:
                sent.failed |= {position: code for r, code in left for position in r.positions}
                return
            records = [record for record, _ in left]
            if records:
                attempt += 1
                longest = min(5.0, 0.1 * 2**attempt)
                self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter

    def _put(self, records: Sequence[_Record], sent: Sent) -> list[str]:
        """Return an error code for each record, empty when Kinesis took it."""
        sent.calls += 1
        started = time.perf_counter()
        try:
            answer = self._client.put_records(
                StreamName=self._stream_name, Records=[record.entry for record in records]
            )
        except (ClientError, BotoCoreError) as error:
            return [aws.code(error)] * len(records)
        finally:
            sent.seconds.append(time.perf_counter() - started)
        for result in answer["Records"]:
            if shard := result.get("ShardId"):
                sent.shards[shard] = sent.shards.get(shard, 0) + 1
        return [result.get("ErrorCode", "") for result in answer["Records"]]


def _alone(position: int, event: bytes) -> _Record:
    return _Record((position,), {"Data": event, "PartitionKey": _key()})


def _together(events: Iterable[tuple[int, bytes]]) -> Iterator[_Record]:
    """Yield records of many events each; an event that fills one alone stays as it is."""
    positions: list[int] = []
    group: list[bytes] = []
    size = 0
    for position, event in events:
        needed = len(event) + kpl.overhead(event)
        if group and size + needed > AGGREGATE_BYTES:
            yield _record_of(positions, group)
            positions, group, size = [], [], 0
        positions.append(position)
        group.append(event)
        size += needed
    if group:
        yield _record_of(positions, group)


def _record_of(positions: Sequence[int], events: Sequence[bytes]) -> _Record:
    if len(events) == 1:
        return _alone(positions[0], events[0])
    key = _key()
    data = kpl.aggregate(key, events)
    return _Record(tuple(positions), {"Data": data, "PartitionKey": key})


def _key() -> str:
    return secrets.token_hex(KEY_BYTES // 2)
