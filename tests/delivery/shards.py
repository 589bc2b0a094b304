"""A Kinesis stream of several shards, which split and merge, and Lambda's windows over a shard."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.moto_cloud import text

from .sources import ARRIVED_AT, Sent, Source, Stream
from .trouble import Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STREAM = "arn:aws:kinesis:eu-central-1:123456789012:stream/stream"
HASHES = 2**128


def delivered(sent: Sent, number: str, shard: str = "shardId-0") -> dict[str, Any]:
    """Return a record as Lambda delivers it."""
    body = sent.event if isinstance(sent.event, bytes) else text(sent.event).encode()
    return {
        "eventSource": "aws:kinesis",
        "eventID": f"{shard}:{number}",
        "eventSourceARN": STREAM,
        "kinesis": {
            "sequenceNumber": number,
            "partitionKey": sent.group or sent.id,
            "data": base64.b64encode(body).decode(),
            "approximateArrivalTimestamp": ARRIVED_AT / 1000,
        },
    }


Shard = partial(Stream, make=delivered)


@dataclass
class Range:
    """A shard: its hash keys, its parents, and the batches that Lambda has of it in parallel."""

    first: int
    last: int
    lanes: list[Stream]
    parents: Sequence[Range] = ()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to deliver."""
        return all(lane.idle for lane in self.lanes)


@dataclass
class Shards(Source):
    """A stream of several shards.

    Amazon Kinesis Data Streams developer guide, "Resharding, scaling, and parallel processing": the
    records of a closed shard come before those of its children. AWS Lambda developer guide, "Using
    Lambda to process records from Amazon Kinesis Data Streams": batches of a shard in parallel, in
    order at the level of the partition key.

    Args:
        parallel: Batches of a shard at the same time.
        settings: Of each shard; see ``Stream``.
    """

    parallel: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    open: list[Range] = field(default_factory=list)
    closed: list[Range] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.open.append(self._range(0, HASHES - 1))

    def _range(self, first: int, last: int, *parents: Range) -> Range:
        """Make a shard; sequence numbers grow from shard to child."""
        shard = f"shardId-{next(self._numbers)}"
        make = partial(delivered, shard=shard)
        lanes = [
            Stream(self.trouble, self.invoke, make=make, **self.settings)
            for _ in range(self.parallel)
        ]
        for lane in lanes:
            lane.deliveries, lane.dead = self.deliveries, self.dead
        return Range(first, last, lanes, parents)

    @property
    def idle(self) -> bool:
        return all(one.idle for one in (*self.open, *self.closed))

    def send(self, sent: Sent) -> None:
        place = int.from_bytes(hashlib.md5((sent.group or sent.id).encode()).digest())  # noqa: S324
        [shard] = [one for one in self.open if one.first <= place <= one.last]
        shard.lanes[place % self.parallel].send(sent)

    def step(self) -> None:
        """Deliver a batch of a shard whose parents are done with."""
        ready = [
            lane
            for one in (*self.open, *self.closed)
            if all(parent.idle for parent in one.parents)
            for lane in one.lanes
            if not lane.idle
        ]
        self.trouble.dice.choice(ready).step()

    def redrive(self) -> None:
        for sent in [*self.dead]:
            self.dead.remove(sent)
            self.send(sent)

    def split(self) -> None:
        """Split an open shard in the middle."""
        parent = self._close(self.trouble.dice.randrange(len(self.open)))
        middle = (parent.first + parent.last) // 2
        self.open.append(self._range(parent.first, middle, parent))
        self.open.append(self._range(middle + 1, parent.last, parent))

    def merge(self) -> None:
        """Merge two adjacent open shards."""
        self.open.sort(key=lambda one: one.first)
        place = self.trouble.dice.randrange(len(self.open) - 1)
        one, other = self._close(place), self._close(place)
        self.open.append(self._range(one.first, other.last, one, other))

    def _close(self, place: int) -> Range:
        self.closed.append(self.open.pop(place))
        return self.closed[-1]


@dataclass
class Windows(Source):
    """Tumbling windows over a shard.

    AWS Lambda developer guide, "Implementing stateful Kinesis Data Streams processing in Lambda": a
    call gets the state that the last good one returned, and is repeated with it when it fails; the
    last call of a window says so, and a state that is too large ends it early.

    Args:
        largest: Bytes of a state; above, Lambda ends the window early.
        batch: Records in a batch.
    """

    largest: int = 1_000_000
    batch: int = 10
    windows: list[list[Sent]] = field(default_factory=list)
    state: Any = field(default_factory=dict)
    _place: int = 0
    _window: int = 0

    @property
    def idle(self) -> bool:
        return self._window == len(self.windows)

    def send(self, sent: Sent) -> None:
        self.windows[-1].append(sent)

    def step(self) -> None:
        """Deliver a batch, some records of the last one with it; or end the window."""
        records = self.windows[self._window]
        if self._place == len(records):
            if self._call([], final=True):
                self._place, self._window, self.state = 0, self._window + 1, {}
            return
        size = self.trouble.dice.randint(1, self.batch)
        # Lambda repeats a batch with the state from before it.
        again = self.trouble.dice.randint(0, 2) if self.state else 0
        start, end = max(0, self._place - again), min(len(records), self._place + size)
        numbered = [
            delivered(records[at], str(self._window * 10**6 + at)) for at in range(start, end)
        ]
        if self._call(numbered):
            self._place = end
            if len(json.dumps(self.state)) > self.largest and self._call([], early=True):
                self.state = {}

    def _call(self, records: list[Any], *, final: bool = False, early: bool = False) -> bool:
        window = {"start": f"2026-11-26T10:{self._window:02}:00Z"}
        event = {
            "Records": records,
            "window": window,
            "state": self.state,
            "shardId": "shardId-0",
            "eventSourceARN": STREAM,
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": early,
        }
        answer, answered = self.call(event)
        if answered and not early and not final:
            self.state = answer["state"]
        return answered


def play(source: Source, arriving: list[Sent], now_and_then: Callable[[], object]) -> None:
    """Send events while they are delivered, with something else now and then, until all is done."""
    arriving = arriving[::-1]
    while arriving or not source.idle:
        if arriving and (source.idle or source.trouble.dice.random() < 0.9):
            source.send(arriving.pop())
        else:
            source.step()
        if arriving and source.trouble.dice.random() < 0.002:
            now_and_then()


__all__ = ["Crash", "Sent", "Shard", "Shards", "Windows", "delivered", "play"]
