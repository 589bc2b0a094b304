"""One schedule: events arrive, things go wrong, trouble ends; then each event is accounted for."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lambdas import consumers
from tests.moto_cloud import Context, text

from .sources import TOO_SHORT, Asynchronous, FifoQueue, Queue, Sent, Stream, Transform
from .trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from tests.lambdas.consumers import Consumer
    from tests.moto_cloud import Cloud

    from .sources import Source

# Events, faults and steps of a schedule, at most.
EVENTS, FAULTS, STEPS = 10, 12, 400
# How many invocations may run at the same time.
AT_ONCE = 3


@dataclass(frozen=True)
class Delivered:
    """A handler and what delivers to it: the queue of a ``Consumer``, or another source.

    Args:
        consumer: The handler and its events.
        source: The model of what delivers to it.
    """

    consumer: Consumer
    source: Callable[..., Any]

    @property
    def kind(self) -> Any:
        """The class of the source."""
        return getattr(self.source, "func", self.source)


def found() -> Iterator[tuple[str, Delivered]]:
    """Yield every handler with its name: queues' consumers, and what ``DELIVERED`` lists."""
    for name, consumer in consumers.found():
        yield name, Delivered(consumer, FifoQueue if consumer.fifo else Queue)
    for slug, name, delivered in consumers.declared("DELIVERED"):
        yield f"{slug}.{name}", delivered


@dataclass
class Schedule:
    """A run of events through a handler; a broken promise is an ``AssertionError``."""

    delivered: Delivered
    dice: Random

    def __post_init__(self) -> None:
        self.consumer = self.delivered.consumer
        self.good: dict[str, Any] = {}  # valid events, by the source's id
        self.claims: dict[str, tuple[int, int]] = {}  # number and place of each of them
        self.poison: set[str] = set()  # ids
        self.redriven: set[str] = set()
        self.running = 0
        self.trouble = Trouble(self.dice, self.dice.randrange(FAULTS + 1))
        self.trouble.never = TOO_SHORT if self.consumer.alone else ""

    def play(self) -> tuple[int, int]:
        """Return how many events there were, and how many deliveries of them."""
        with pytest.MonkeyPatch.context() as patch, self.consumer.cloud(patch) as cloud:
            trouble = self.trouble
            patch.setattr("time.time_ns", trouble.clock)
            patch.setattr("botocore.endpoint.time.sleep", lambda _: None)
            source: Source = self.delivered.source(trouble, self._invoke)
            fifo = isinstance(source, FifoQueue)
            url = cloud.fifo_queue_url if fifo else cloud.queue_url
            patch.setenv("DEAD_LETTER_QUEUE_URL", url)
            trouble.at_calls(cloud, lambda: self._meanwhile(source))
            arriving = self._events()
            self._drain(source, arriving, trouble)
            trouble.left = 0
            self.redriven = {sent.id for sent in source.dead}
            source.redrive()
            self._drain(source, [], trouble)
            given_up = {sent.id for sent in source.dead} - source.refused.keys()
            assert not given_up, "an event is given up although nothing goes wrong"
            self._account(cloud, source)
            return len(self.good) + len(self.poison), source.deliveries.total()

    def _events(self) -> list[Sent]:
        """Return valid events, copies of them, others that claim their ids, and poison."""
        made: list[Sent] = []
        places: Counter[int] = Counter()
        for _ in range(self.dice.randint(1, EVENTS)):
            kind = self.dice.choice(("new", "new", "new", "copy", "other", "poison"))
            number = self.dice.randint(1, 3)
            group = self.consumer.name(number) if self.consumer.fifo else None
            if kind == "poison":
                made.append(Sent(self.consumer.bad, group))
                self.poison.add(made[-1].id)
                continue
            if kind == "new" or not places[number]:
                kind, place = "new", places[number] + 1
                places[number] = place
            else:
                place = self.dice.randint(1, places[number])
            claim = (number, place) if self.consumer.fifo else (10 * place + number, 1)
            make = (kind == "other" and self.consumer.other) or self.consumer.good
            made.append(Sent(make(*claim), group))
            self.good[made[-1].id], self.claims[made[-1].id] = made[-1].event, claim
        return made

    def _drain(self, source: Source, arriving: list[Sent], trouble: Trouble) -> None:
        for _ in range(STEPS):
            if arriving and (source.idle or trouble.dice.random() < 0.4):
                source.send(arriving.pop(0))
            elif source.idle:
                return
            else:
                source.step()
        raise AssertionError("an event comes again and again")

    def _invoke(self, event: Any, request_id: str) -> Any:
        self.running += 1
        try:
            answer = self.consumer.handler(event, Context(request_id))
        finally:
            self.running -= 1
        batch = self.delivered.kind is not Asynchronous
        if batch and isinstance(event, dict) and "Records" in event:
            self._check_answer(event["Records"], answer)
        return answer

    def _meanwhile(self, source: Source) -> None:
        # Lambda has one call of a shard at a time.
        if self.running < AT_ONCE and not source.idle and not isinstance(source, Stream):
            source.step()

    def _check_answer(self, records: list[Any], answer: Any) -> None:
        reported = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        given = dict(map(_named, records))
        assert len(set(reported)) == len(reported), "an answer names a message twice"
        assert set(reported) <= given.keys(), "an answer names a message that was not given"
        if self.consumer.fifo:
            behind: set[str | None] = set()
            for id_, group in given.items():
                assert group not in behind or id_ in reported, f"{id_} is done before one ahead"
                behind |= {group} if id_ in reported else set()

    def _account(self, cloud: Cloud, source: Source) -> None:
        """Find every event: it took effect once, or is a letter with its reason."""
        identity = self.consumer.identity
        found = source.lines() if isinstance(source, Transform) else self.consumer.effects(cloud)
        effects = Counter(one if isinstance(one, str) else identity(one) for one in found)
        twice = [effect for effect, times in effects.items() if times > 1]
        assert not twice, f"an event took effect twice: {twice}"
        of = {id_: identity(event) for id_, event in self.good.items()}
        assert not effects.keys() - set(of.values()), "something took effect that was not sent"
        done = {id_: effect for id_, effect in of.items() if effect in effects}
        won = Counter(
            self.claims[id_] for id_ in {effect: id_ for id_, effect in done.items()}.values()
        )
        overtaken = self._overtaken() - done.keys()
        lost = {claim for id_, claim in self.claims.items() if id_ not in overtaken} - won.keys()
        assert not lost, "an event is lost"
        assert set(won.values()) <= {1}, "two events of one id took effect"
        losers = dict.fromkeys(of.keys() - done.keys() - overtaken, "conflict")
        expected = losers | dict.fromkeys(self.poison, self.consumer.reason)
        letters = self._letters(cloud, source)
        assert letters == expected, "not kept with its reason, or kept although it took effect"
        if self.consumer.applied:
            self._check_order(cloud)

    def _overtaken(self) -> set[str]:
        """Return the ids of events that were redriven behind a newer one, if that one counts.

        A copy of such an event, which arrives behind the newer one, changes nothing either.
        """
        if not self.consumer.newest_counts:
            return set()
        newest = dict(sorted(self.claims.values()))
        late = {self.claims[id_] for id_ in self.redriven & self.claims.keys()}
        overtaken = {claim for claim in late if claim[1] < newest[claim[0]]}
        return {id_ for id_, claim in self.claims.items() if claim in overtaken}

    def _letters(self, cloud: Cloud, source: Source) -> dict[str, str]:
        """Return the reason of each refused event, by its id; what is kept is what was sent."""
        if isinstance(source, Transform):
            return dict.fromkeys(source.failed, self.consumer.reason)
        reasons = {sent.id: source.refused[sent.id] for sent in source.dead}
        for body, attributes in cloud.letters_there():
            id_ = attributes["OriginalMessageId"]
            if isinstance(source, Stream):  # the letter names the record
                number = json.loads(body)["KinesisBatchInfo"]["startSequenceNumber"]
                reasons[source.shard[int(number)].id] = attributes["Reason"]
                continue
            sent = self.good.get(id_, self.consumer.bad)
            assert json.loads(body) == json.loads(text(sent)), f"{id_} was changed"
            reasons[id_] = attributes["Reason"]
        return reasons

    def _check_order(self, cloud: Cloud) -> None:
        """What was not given up in between took effect in the order in which it was sent."""
        assert self.consumer.applied
        late = {self.claims[id_] for id_ in self.redriven & self.claims.keys()}
        for number in {number for number, _ in self.claims.values()}:
            in_order = sorted(claim for claim in set(self.claims.values()) if claim[0] == number)
            applied = [(number, place) for place in self.consumer.applied(cloud, number)]
            done = [claim for claim in applied if claim not in late]
            assert done == [claim for claim in in_order if claim not in late], "out of order"


def _named(record: Any) -> tuple[str, str | None]:
    """Return what an answer names a record by, and the group that keeps an order."""
    if "kinesis" in record:
        return record["kinesis"]["sequenceNumber"], record["kinesis"]["partitionKey"]
    return record["messageId"], record["attributes"].get("MessageGroupId")
