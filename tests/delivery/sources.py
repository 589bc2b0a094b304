"""Models of what delivers events to a function, as AWS documents it: one class a source.

A source has events sent to it, and takes a step at a time, which the dice of a schedule choose; the
function is called as Lambda calls it. What a source gives up is in ``dead``. They do what AWS
promises and nothing more: they deliver twice, late and in another order wherever AWS may.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import REGION, SENT_AT, record, text

from .trouble import Crash, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    Invoke = Callable[[Any, str], Any]

ARRIVED_AT = SENT_AT  # in milliseconds
_NUMBERS = count()
TOO_SHORT = "a visibility timeout is too short"


@dataclass
class Sent:
    """An event on its way.

    Args:
        event: As it was sent; what is no text becomes JSON where a source carries text.
        group: What order is kept within. Default: none.
        id: The source's own, the same at each delivery.
        receives: How often it was delivered, or a delivery was begun.
    """

    event: Any
    group: str | None = None
    id: str = field(default_factory=lambda: f"00000000-0000-4000-8000-{next(_NUMBERS):012}")
    receives: int = 0


@dataclass
class Source:
    """What all sources have.

    Args:
        trouble: What goes wrong, and its dice.
        invoke: Calls the function with an event and the id of the request; raises what it raises.
    """

    trouble: Trouble
    invoke: Invoke
    dead: list[Sent] = field(default_factory=list)
    deliveries: Counter[str] = field(default_factory=Counter)  # by event id
    refused: dict[str, str] = field(default_factory=dict)  # raised: reason by the request's id

    @property
    def idle(self) -> bool:
        """Whether nothing is left to deliver."""
        raise NotImplementedError

    def send(self, sent: Sent) -> None:
        """Take an event."""
        raise NotImplementedError

    def step(self) -> None:
        """Do what happens next: deliver something, or let time pass."""
        raise NotImplementedError

    def redrive(self) -> None:
        """Send what was given up once more."""
        raise NotImplementedError

    def call(self, event: Any, request_id: str = "request") -> tuple[Any, bool]:
        """Invoke the function; return its answer, and whether there is one."""
        if self.trouble.strikes("the process ends before the function is called", 16):
            return None, False
        try:
            answer = json.loads(json.dumps(self.invoke(event, request_id)))
        except AssertionError:  # of a test, and of no handler
            raise
        except RefusedError as error:
            self.refused[request_id] = error.reason
            return None, False
        except (Crash, Exception):
            return None, False
        return answer, not self.trouble.strikes("the process ends after the function's work", 12)


@dataclass
class Queue(Source):
    """Amazon SQS, polled by Lambda with ReportBatchItemFailures.

    AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event
    source"; Amazon SQS developer guide, "Dead-letter queues" and "Amazon SQS visibility timeout".
    """

    fifo: bool = False
    batch: int = 10
    max_receives: int = 5
    messages: list[Sent] = field(default_factory=list)  # in the order of arrival
    _hidden: set[str] = field(default_factory=set)
    _returning: list[list[Sent]] = field(default_factory=list)  # hidden until a time-out

    @property
    def idle(self) -> bool:
        return not self.messages

    def send(self, sent: Sent) -> None:
        self.messages.append(sent)

    def redrive(self) -> None:
        """Move what is dead-lettered back, as StartMessageMoveTask does."""
        for sent in self.dead:
            sent.receives = 0
            self.send(sent)
        self.dead.clear()

    def step(self) -> None:
        """Poll once, or let a visibility timeout end."""
        if self._returning and self.trouble.dice.random() < 0.5:
            self._time_out()
            return
        batch = self.receive()
        if batch and not self.trouble.strikes("the function is throttled", 16):
            failed = self.failed(batch, *self.call({"Records": [*map(_message, batch)]}))
        else:
            failed = {sent.id for sent in batch}
        self._finish(batch, failed)
        if not batch and self._returning:
            self._time_out()

    def receive(self) -> list[Sent]:
        """Return what Lambda receives; a message beyond its receives is dead-lettered instead."""
        dice, received = self.trouble.dice, list[Sent]()
        seen = [sent for sent in self.messages if sent.id not in self._hidden]
        waiting = {sent.id for batch in self._returning for sent in batch}
        if self._hidden - waiting and self.trouble.strikes(TOO_SHORT, 4):
            seen = list(self.messages)
        elif self.fifo:
            locked = {sent.group for sent in self.messages if sent.id in self._hidden}
            seen = [sent for sent in seen if sent.group not in locked]
        else:
            dice.shuffle(seen)
        size = dice.randint(1, self.batch)
        for sent in seen:
            if len(received) == size:
                break
            if sent.receives == self.max_receives:
                self.messages.remove(sent)
                self.dead.append(sent)
                continue
            sent.receives += 1
            self.deliveries[sent.id] += 1
            # SQS hides a message from other receivers, and a standard queue at times does not.
            if self.fifo or not self.trouble.strikes("SQS delivers a message twice", 24):
                self._hidden.add(sent.id)
            received.append(sent)
        return received

    @staticmethod
    def failed(batch: list[Sent], answer: Any, answered: bool) -> set[str]:
        """Return the ids that come again: all, unless the answer is one that Lambda takes."""
        every = {sent.id for sent in batch}
        if not answered:
            return every
        ids = [item.get("itemIdentifier") for item in (answer or {}).get("batchItemFailures") or []]
        return set(ids) if set(ids) <= every else every

    def _finish(self, batch: list[Sent], failed: set[str]) -> None:
        keep = [sent for sent in batch if sent.id in failed]
        if self.trouble.strikes("messages are not deleted after the work", 12):
            keep = batch
        done = {sent.id for sent in batch} - {sent.id for sent in keep}
        self.messages = [sent for sent in self.messages if sent.id not in done]
        self._hidden -= done
        if keep:
            self._returning.append(keep)

    def _time_out(self) -> None:
        """A batch's visibility timeout ends: what is still there can be received again."""
        batch = self._returning.pop(self.trouble.dice.randrange(len(self._returning)))
        self._hidden -= {sent.id for sent in batch}


def _message(sent: Sent) -> dict[str, Any]:
    made = record(sent.event, sent.group, receive_count=sent.receives) | {"messageId": sent.id}
    if sent.group is not None:
        made["attributes"]["SequenceNumber"] = sent.id[-12:]
    return made


@dataclass
class FifoQueue(Queue):
    """An SQS FIFO queue: a group's messages in order, and none while one of it is in flight."""

    fifo: bool = True


@dataclass
class Asynchronous(Source):
    """Lambda's queue of asynchronous invocations, with a failure destination.

    AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous
    invocation": two more attempts by default, events may come twice or grow too old unseen.
    """

    retries: int = 2
    events: list[Sent] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)  # at the failure destination

    @property
    def idle(self) -> bool:
        return not self.events

    def send(self, sent: Sent) -> None:
        self.events.append(sent)

    def redrive(self) -> None:
        """Send again what is at the failure destination."""
        for failed in self.records:
            self.send(Sent(failed["requestPayload"], id=failed["requestContext"]["requestId"]))
        self.records.clear()
        self.dead.clear()

    def step(self) -> None:
        """Run an event, whichever: the queue keeps no order."""
        sent = self.events[self.trouble.dice.randrange(len(self.events))]
        if self.trouble.strikes("an event grows too old", 24):
            self._give_up(sent, "EventAgeExceeded")
            return
        self.events.remove(sent)
        twice = self.trouble.strikes("an event is delivered twice", 16)
        sent.receives += 1
        self.deliveries[sent.id] += 1
        _, answered = self.call(sent.event, sent.id)
        if twice or (not answered and sent.receives <= self.retries):
            self.events.append(sent)
        elif not answered:
            self._give_up(sent, "RetriesExhausted")

    def _give_up(self, sent: Sent, condition: str) -> None:
        self.events = [other for other in self.events if other is not sent]
        self.dead.append(sent)
        context = {
            "requestId": sent.id,
            "condition": condition,
            "approximateInvokeCount": sent.receives,
        }
        self.records.append({"requestContext": context, "requestPayload": sent.event})


@dataclass
class Stream(Source):
    """A shard of Kinesis or of a table's stream, with Lambda's checkpoint.

    AWS Lambda developer guide, "Configuring partial batch response with Kinesis Data Streams and
    Lambda" and "Retain discarded batch records": a batch that fails comes again from the lowest
    sequence number that failed, halved if it bisects; what is given up goes to the destination, and
    the shard goes on.

    Args:
        make: Returns the record that Lambda delivers, of an event and its sequence number.
        numbered: Returns the sequence number of a record. Default: the one that it was made with.
        retries: Of a batch. A bisection does not count.
        bisects: Whether a batch that fails as a whole is halved. Default: yes.
        batch: Records in a batch.
    """

    make: Callable[[Sent, str], dict[str, Any]] = lambda sent, number: {
        "eventSource": "aws:kinesis",
        "kinesis": {"sequenceNumber": number, "partitionKey": sent.group, "data": text(sent.event)},
    }
    numbered: Callable[[dict[str, Any]], str] | None = None
    retries: int = 5
    bisects: bool = True
    batch: int = 10
    shard: list[Sent] = field(default_factory=list)
    checkpoint: int = 0
    _end: int = 0  # of the batch that is being retried; 0 if it is a new one
    _attempts: int = 0

    @property
    def idle(self) -> bool:
        return self.checkpoint == len(self.shard)

    def send(self, sent: Sent) -> None:
        self.shard.append(sent)

    def redrive(self) -> None:
        """Put what was given up into the shard again."""
        for sent in self.dead:
            self.send(Sent(sent.event, sent.group, sent.id))
        self.dead.clear()

    def step(self) -> None:
        """Deliver the records from the checkpoint on."""
        first = self.checkpoint
        size = self.trouble.dice.randint(1, self.batch)
        end = self._end or min(len(self.shard), first + size)
        numbers = {f"{place:021}": place for place in range(first, end)}
        for sent in self.shard[first:end]:
            sent.receives += 1
            self.deliveries[sent.id] += 1
        records = [self.make(self.shard[place], number) for number, place in numbers.items()]
        if self.numbered:
            numbers = dict(zip(map(self.numbered, records), numbers.values(), strict=True))
        answer, answered = self.call({"Records": records})
        failed = (answer or {}).get("batchItemFailures") or []
        ids = [item.get("itemIdentifier") for item in failed]
        whole = not answered or not set(ids) <= set(numbers)
        if not whole and not ids:
            self._go_on(end)
            return
        lowest = first if whole else min(numbers[id_] for id_ in ids)
        if self.bisects and whole and end - first > 1:
            self._end = (first + end) // 2
        elif self._attempts < self.retries:  # what is ahead of the lowest is done with
            self.checkpoint, self._end = lowest, end
            self._attempts += 1
        else:
            self.dead += self.shard[lowest:end]
            self._go_on(end)

    def _go_on(self, place: int) -> None:
        self.checkpoint, self._attempts, self._end = place, 0, 0


@dataclass
class Transform(Source):
    """Amazon Data Firehose with a transform function.

    Amazon Data Firehose developer guide, "Data transformation failure handling": a batch is tried
    four times, then stored under the error prefix, as are records that failed or got no answer.
    """

    batch: int = 10
    waiting: list[Sent] = field(default_factory=list)
    # What each record became, by its id; Firehose delivers at least once.
    delivered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # under the error prefix

    @property
    def idle(self) -> bool:
        return not self.waiting

    def send(self, sent: Sent) -> None:
        self.waiting.append(sent)

    def redrive(self) -> None:
        """Send again what a failing function left under the error prefix."""
        self.waiting += self.dead
        self.dead.clear()

    def step(self) -> None:
        """Transform a batch."""
        batch = self.waiting[: self.trouble.dice.randint(1, self.batch)]
        records = [
            {
                "recordId": sent.id,
                "approximateArrivalTimestamp": ARRIVED_AT,
                "data": base64.b64encode(text(sent.event).encode()).decode(),
            }
            for sent in batch
        ]
        self.deliveries.update(sent.id for sent in batch)
        event = {"invocationId": "invocation", "region": REGION, "records": records}
        for _ in range(4):
            answer, answered = self.call(event)
            if answered:
                break
        if not self.trouble.strikes("Firehose delivers a batch twice", 16):
            del self.waiting[: len(batch)]
        if not answered:
            self.dead += [sent for sent in batch if sent not in self.waiting]
            return
        results = {result["recordId"]: result for result in answer["records"]}
        assert len(results) == len(answer["records"]), "an answer names a record twice"
        for sent in batch:
            result = results.get(sent.id, {"result": "ProcessingFailed"})
            match result["result"]:
                case "Ok":
                    lines = base64.b64decode(result["data"]).decode().splitlines()
                    self.delivered += [(sent.id, json.loads(line)) for line in lines]
                case "Dropped":
                    self.dropped.append(sent.id)
                case "ProcessingFailed":
                    self.failed.append(sent.id)
                case other:
                    raise AssertionError(f"{other} is no result of a transformation")

    def lines(self) -> list[Any]:
        """Return what is in the lake; a line that is there twice is read once."""
        return list({json.dumps(line): line for _, line in self.delivered}.values())


@dataclass
class Tasks:
    """Lambda tasks of Step Functions, with Retry.

    AWS Step Functions developer guide, "Handling errors": a task that fails is run again with the
    same input; a function that Step Functions no longer waits for may still run, and later.
    """

    trouble: Trouble
    attempts: int = 3
    late: list[Callable[[], Any]] = field(default_factory=list)

    def run(self, task: Callable[[], Any]) -> Any:
        """Return what a task answers; None if its last attempt failed, too."""
        for _ in range(self.attempts):
            try:
                answer = task()
            except (Crash, Exception):
                if self.trouble.dice.random() < 0.5:
                    self.late.append(task)
                continue
            if not self.trouble.strikes("an answer comes too late", 12):
                return answer
        return None

    def run_late(self) -> None:
        """Run what nobody waits for, if anything: it may end in the middle once more."""
        if self.late:
            task = self.late.pop(self.trouble.dice.randrange(len(self.late)))
            with suppress(Crash, Exception):
                task()
