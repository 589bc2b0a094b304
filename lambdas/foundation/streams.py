"""Events → Kinesis, in as few calls as possible; records that Kinesis rejects are sent again.

For programs that send events; no function of the demo stacks uses it.
"""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws, kpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Numbered = tuple[tuple[int, ...], dict[str, Any]]

# Amazon Kinesis Data Streams API reference, "PutRecords": 500 records a call. A call may be larger
# than 5 MiB by now, but one shard takes 1 MiB/s, and emulators keep to the older limit.
MAX_RECORDS = 500
MAX_CALL_BYTES = 5 * 1024**2
# A stream takes 1 MiB a record unless it is configured otherwise; Firehose takes 1,000 KiB.
MAX_RECORD_BYTES = 1000 * 1024
# One payload unit of a provisioned stream is 25 KB: filled with small events, it costs the same.
AGGREGATE_BYTES = 25_000
KEY_BYTES = 16
MAX_KEY = 256  # characters; one key that is longer, or empty, fails all records of a call
BEHIND_A_FAILURE = "BehindAFailure"


@dataclass
class Sent:
    """What became of the events, by their positions.

    Args:
        accepted: Those that Kinesis holds.
        refused: Those that no record can hold, or whose key Kinesis rejects; they were not sent.
        failed: Those that Kinesis did not accept in time, with its error code.
        shards: How many records each shard holds.
        calls: Calls to AWS.
    """

    accepted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    shards: Counter[str] = field(default_factory=Counter)
    calls: int = 0


@dataclass(frozen=True)
class Producer:
    """Puts events into a stream, in order within a partition key if they have one.

    Without ``key``, order is not kept (Firehose keeps none): partition keys are random, so that a
    user who clicks a lot never makes one shard hot. With it, a call has one record of each key, so
    that none overtakes one that failed. Aggregated, small events share a record (Kinesis Producer
    Library's format), which Firehose and ``shards`` take apart again, and a plain Lambda function
    does not.

    Args:
        client: Of Kinesis.
        stream_name: The stream.
        aggregate: Whether small events share records. Default: only without ``key``.
        give_up_after: Seconds of sending again what Kinesis did not accept. Default: 60.
        key: Returns the partition key of an event, 1 to 256 characters; an event with another one
            is refused. Default: random keys.
    """

    client: Any
    stream_name: str
    aggregate: bool | None = None
    give_up_after: float = 60.0
    key: Callable[[bytes], str] | None = None

    def put(self, events: Iterable[bytes]) -> Sent:
        """Send all events, and again those that failed, until all are accepted or time is up."""
        sent, of_key = Sent(), dict[str, list[tuple[int, bytes]]]()
        for position, event in enumerate(events):
            key = "" if self.key is None else self.key(event)
            size = len(event) + (len(key.encode()) if self.key else KEY_BYTES)
            taken = self.key is None or 0 < len(key) <= MAX_KEY
            if event and taken and size <= MAX_RECORD_BYTES:
                of_key.setdefault(key, []).append((position, event))
            else:
                sent.refused.append(position)
        stuck = set[str]()
        for some in self._rounds(of_key):
            ready = [one for one in some if one[1]["PartitionKey"] not in stuck]
            for call in aws.batches(
                ready,
                most=MAX_RECORDS,
                largest=MAX_CALL_BYTES,
                size=lambda record: (
                    len(record[1]["Data"]) + len(record[1]["PartitionKey"].encode())
                ),
            ):
                stuck |= self._put_until_accepted(dict(call), sent)
            behind = {at for at, record in some if record["PartitionKey"] in stuck}
            sent.failed |= {
                one: BEHIND_A_FAILURE for at in behind for one in at if one not in sent.failed
            }
        return sent

    def _rounds(
        self, of_key: Mapping[str, Sequence[tuple[int, bytes]]]
    ) -> Iterator[list[Numbered]]:
        """Yield the records, each by its events' positions; of a round, none has to wait."""
        if self.key is None:
            groups = self._groups(of_key.get("", ()))
            yield [_record(group, secrets.token_hex(KEY_BYTES // 2)) for group in groups]
            return
        records = [
            [_record(group, key) for group in self._groups(events)]
            for key, events in of_key.items()
        ]
        for turn in zip_longest(*records):
            yield [record for record in turn if record]

    def _groups(self, events: Sequence[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the events that share a record."""
        together = self.key is None if self.aggregate is None else self.aggregate
        return aws.batches(
            events,
            most=len(events) if together else 1,
            largest=AGGREGATE_BYTES,
            size=lambda one: len(one[1]) + kpl.overhead(one[1]),
        )

    def _put_until_accepted(self, waiting: dict[tuple[int, ...], Any], sent: Sent) -> set[str]:
        """Send records, and again those that failed; return the keys of those given up."""
        deadline, longest = time.monotonic() + self.give_up_after, 0.1
        while True:
            codes = dict(zip(waiting, self._put(list(waiting.values()), sent), strict=True))
            sent.accepted += [one for some, code in codes.items() if not code for one in some]
            waiting = {some: waiting[some] for some, code in codes.items() if code}
            if not waiting or time.monotonic() >= deadline:
                sent.failed |= {one: codes[some] for some in waiting for one in some}
                keyed = waiting.values() if self.key else ()
                return {record["PartitionKey"] for record in keyed}
            longest = min(5.0, longest * 2)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter

    def _put(self, records: Sequence[Any], sent: Sent) -> list[str]:
        """Return an error code for each record, empty when Kinesis accepted it."""
        sent.calls += 1
        try:
            answer = self.client.put_records(StreamName=self.stream_name, Records=records)
        except (ClientError, BotoCoreError) as error:
            return [aws.code(error)] * len(records)
        results = answer["Records"]
        sent.shards.update(result["ShardId"] for result in results if "ShardId" in result)
        return [result.get("ErrorCode", "") for result in results]


def _record(group: Sequence[tuple[int, bytes]], key: str) -> Numbered:
    """Return a record with all events of a group, and their positions; one alone stays as it is."""
    positions, events = zip(*group, strict=True)
    data = events[0] if len(events) == 1 else kpl.aggregate(key, events)
    return positions, {"Data": data, "PartitionKey": key}
