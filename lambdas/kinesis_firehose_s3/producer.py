"""Events → Kinesis, in as few calls as possible; records that Kinesis rejects are sent again."""

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
    from collections.abc import Callable, Iterable, Sequence

# Amazon Kinesis Data Streams API reference, "PutRecords": 500 records a call. A call may be larger
# than 5 MiB by now, but one shard takes 1 MiB/s, and emulators keep to the older limit.
MAX_RECORDS = 500
MAX_CALL_BYTES = 5 * 1024**2
# A stream takes 1 MiB a record unless it is configured otherwise; Firehose takes 1,000 KiB.
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
        failed: Positions of those that Kinesis did not take in time, with its error code.
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


@dataclass(frozen=True)
class Producer:
    """Puts events into a stream; order is not kept, since Firehose keeps none.

    Partition keys are random, so that a user who clicks a lot never makes one shard hot. Small
    events share a record (Kinesis Producer Library's format), which Firehose takes apart again.

    Args:
        client: Of Kinesis.
        stream_name: The stream.
        aggregate: Whether small events share records. Default: yes.
        give_up_after: Seconds of sending again what Kinesis did not take. Default: 60.
        sleep: For tests. Default: ``time.sleep``.
    """

    client: Any
    stream_name: str
    aggregate: bool = True
    give_up_after: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def put(self, events: Iterable[bytes]) -> Sent:
        """Send all events, and again those that failed, until they are taken or time is up."""
        sent = Sent()
        numbered: list[tuple[int, bytes]] = []
        for position, event in enumerate(events):
            if 0 < len(event) <= MAX_RECORD_BYTES - KEY_BYTES:
                numbered.append((position, event))
            else:
                sent.refused.append(position)
        groups = aws.batches(
            numbered,
            most=len(numbered) if self.aggregate else 1,
            largest=AGGREGATE_BYTES,
            size=lambda one: len(one[1]) + kpl.overhead(one[1]),
        )
        for call in aws.batches(
            map(_record, groups), most=MAX_RECORDS, largest=MAX_CALL_BYTES, size=lambda r: r.size
        ):
            self._put_until_taken(call, sent)
        return sent

    def _put_until_taken(self, records: Sequence[_Record], sent: Sent) -> None:
        deadline = time.monotonic() + self.give_up_after
        longest = 0.1
        while True:
            left: list[_Record] = []
            failed: dict[int, str] = {}
            for record, code in zip(records, self._put(records, sent), strict=True):
                if code:
                    left.append(record)
                    failed |= dict.fromkeys(record.positions, code)
                else:
                    sent.accepted += record.positions
            if not left or time.monotonic() >= deadline:
                sent.failed |= failed
                return
            records, longest = left, min(5.0, longest * 2)
            self.sleep(random.uniform(0, longest))  # noqa: S311 - jitter

    def _put(self, records: Sequence[_Record], sent: Sent) -> list[str]:
        """Return an error code for each record, empty when Kinesis took it."""
        sent.calls += 1
        started = time.perf_counter()
        try:
            answer = self.client.put_records(
                StreamName=self.stream_name, Records=[record.entry for record in records]
            )
        except (ClientError, BotoCoreError) as error:
            return [aws.code(error)] * len(records)
        finally:
            sent.seconds.append(time.perf_counter() - started)
        for result in answer["Records"]:
            if shard := result.get("ShardId"):
                sent.shards[shard] = sent.shards.get(shard, 0) + 1
        return [result.get("ErrorCode", "") for result in answer["Records"]]


def _record(group: Sequence[tuple[int, bytes]]) -> _Record:
    """Return a record with all events of a group; an event alone stays as it is."""
    key = secrets.token_hex(KEY_BYTES // 2)
    events = [event for _, event in group]
    data = events[0] if len(events) == 1 else kpl.aggregate(key, events)
    positions = tuple(position for position, _ in group)
    return _Record(positions, {"Data": data, "PartitionKey": key})
