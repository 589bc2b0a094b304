"""Sends a scenario's events and books every answer: one rule for every way into a stack.

An entry is a function that hands over one call's events and returns a reply for each. ``http``,
``single`` and ``batch`` make entries for APIs, for AWS operations that take one event, and for
those that take several; a producer of the pattern's own is wrapped the same way.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .report import Report
    from .target import Deployment

    Entry = Callable[[Sequence["Event"]], Sequence["Reply"]]

WORKERS = 16
ATTEMPTS = 60
LONGEST_PAUSE = 2.0  # seconds
THROTTLED = {
    "ExecutionLimitExceeded", "KMSThrottlingException", "LimitExceededException",
    "ProvisionedThroughputExceededException", "RequestThrottled", "ServiceUnavailable",
    "Throttled", "Throttling", "ThrottlingException", "TooManyRequestsException",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One event to send."""

    id: str  # in the ledger
    body: bytes
    group: str = ""  # those of one are sent one after the other; without one, side by side
    # Its ids in the ledger, if each of several subscribers must get it.
    deliveries: Sequence[str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # for the entry, such as headers


@dataclass(frozen=True)
class Reply:
    """What became of one event at the entry."""

    refusal: str = ""  # why it was not accepted: a status or an error code
    again: bool = False  # whether sending it again may help
    value: Any = None  # the answer itself


class Sender:
    """Sends events side by side, sends throttled ones again, and books the last answer of each.

    Args:
        report: Whose ledger and progress it keeps.
        workers: Calls at the same time. Default: 16.
    """

    def __init__(self, report: Report, workers: int = WORKERS) -> None:
        self._report, self._workers = report, workers
        self.seconds: list[float] = []  # how long each call took
        self.first_sent: dict[str, float] = {}  # by an event's id, in Unix seconds
        self.sent: dict[bytes, str] = {}  # the event's id by its body, to know it again
        self.events: dict[str, Event] = {}  # by their ids

    def send(
        self, title: str, entry: Entry, events: Sequence[Event], *, batch: int = 1
    ) -> list[Reply]:
        """Send events, at most ``batch`` a call, and return the last reply to each.

        Those of one group are sent in the order given.
        """
        self.sent |= {event.body: event.id for event in events}
        self.events |= {event.id: event for event in events}
        replies = [Reply()] * len(events)
        with (
            self._report.step(title, len(events)) as advance,
            ThreadPoolExecutor(self._workers) as pool,
        ):

            def send_lane(positions: Sequence[int]) -> None:
                for first in range(0, len(positions), batch):
                    call = positions[first : first + batch]
                    for number in call:
                        self.first_sent.setdefault(events[number].id, time.time())
                    answers = self._until_answered(entry, [events[n] for n in call])
                    for number, reply in zip(call, answers, strict=True):
                        replies[number] = reply
                        self._book(events[number], reply)
                    advance(len(call))

            list(pool.map(send_lane, _lanes(events, batch)))
        return replies

    def _book(self, event: Event, reply: Reply) -> None:
        """Book one answer: a copy of the event was accepted or refused, for each delivery."""
        for delivery in (event.id,) if event.deliveries is None else event.deliveries:
            self._report.ledger.book(delivery, reply.refusal)

    def _until_answered(self, entry: Entry, events: Sequence[Event]) -> list[Reply]:
        replies = [Reply(again=True)] * len(events)
        for attempt in range(ATTEMPTS):
            waiting = [number for number, reply in enumerate(replies) if reply.again]
            if not waiting:
                break
            if attempt:
                time.sleep(min(LONGEST_PAUSE, 0.025 * 2**attempt) * random.random())  # noqa: S311
            started = time.perf_counter()
            answers = entry([events[number] for number in waiting])
            self.seconds.append(time.perf_counter() - started)
            for number, reply in zip(waiting, answers, strict=True):
                replies[number] = reply
        return replies


def _lanes(events: Sequence[Event], batch: int) -> Iterator[list[int]]:
    """Yield the positions of what is sent one after the other: a group, or one call's events."""
    groups: dict[str, list[int]] = {}
    for number, event in enumerate(events):
        groups.setdefault(event.group, []).append(number)
    alone = groups.pop("", [])
    yield from groups.values()
    yield from (alone[first : first + batch] for first in range(0, len(alone), batch))


def http(stack: Deployment, url: str) -> Entry:
    """Return the entry that POSTs each event as JSON; 202 accepts it.

    ``url`` is the output with the API's address. An event's ``extra`` has the ``path`` below it,
    and may have ``headers`` and ``signed``.
    """
    root = stack[url].rstrip("/")

    def post(events: Sequence[Event]) -> list[Reply]:
        [event] = events
        headers = {"Content-Type": "application/json"} | event.extra.get("headers", {})
        address, signed = f"{root}/{event.extra['path']}", event.extra.get("signed", True)
        answer = stack.http.post(address, event.body, headers, signed=signed)
        again = answer.status == 429 or answer.status >= 500
        return [Reply("" if answer.status == 202 else str(answer.status), again, answer)]

    return post


def single(operation: Callable[..., Any], arguments: Callable[[Event], Mapping[str, Any]]) -> Entry:
    """Return the entry of an AWS operation that takes one event; an error's code refuses it.

    ``operation`` is a method of a boto3 client, ``arguments`` returns its arguments for an event.
    """

    def call(events: Sequence[Event]) -> list[Reply]:
        [event] = events
        try:
            return [Reply(value=operation(**arguments(event)))]
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            return [Reply(code, again=status >= 500 or code in THROTTLED, value=error)]

    return call


def invoke(stack: Deployment, function: str) -> Entry:
    """Return the entry that invokes a function asynchronously; ``function`` is an output."""
    fixed = {"FunctionName": stack[function], "InvocationType": "Event"}
    return single(stack.client("lambda").invoke, lambda event: fixed | {"Payload": event.body})


def in_waves(entry: Entry, after: Callable[[Sequence[Event]], object]) -> Entry:
    """Return the entry that takes a wave of events, one by one, and then waits.

    ``after`` is called with the wave, and returns when the next one may come.
    """

    def call(events: Sequence[Event]) -> list[Reply]:
        replies = [reply for event in events for reply in entry([event])]
        after(events)
        return replies

    return call


def batch(
    operation: Callable[..., Any],
    entries: str,
    entry: Callable[[Event], Mapping[str, Any]],
    **fixed: Any,
) -> Entry:
    """Return the entry of a batch operation of SQS or SNS, which may fail some of its entries.

    ``operation`` is a method of a boto3 client, ``entries`` the name of its argument that takes
    them, ``fixed`` the other arguments; ``entry`` returns an event's, without ``Id``.
    """

    def call(events: Sequence[Event]) -> list[Reply]:
        made = [{"Id": str(number), **entry(event)} for number, event in enumerate(events)]
        replies = [Reply()] * len(made)
        for failure in operation(**fixed, **{entries: made}).get("Failed", []):
            replies[int(failure["Id"])] = Reply(failure["Code"], again=not failure["SenderFault"])
        return replies

    return call


def sqs(stack: Deployment, queue: str) -> Entry:
    """Return the entry that sends up to ten bodies to a standard queue; ``queue`` is an output."""
    send, url = stack.client("sqs").send_message_batch, stack[queue]
    return batch(send, "Entries", lambda event: {"MessageBody": event.body.decode()}, QueueUrl=url)
