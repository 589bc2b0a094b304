"""The models deliver as AWS documents it: what comes again, how often, in which order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from .sources import Asynchronous, FifoQueue, Queue, Sent, Stream, Transform
from .trouble import Crash, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

POISON = "poison"


def calm(seed: int = 1) -> Trouble:
    return Trouble(random.Random(seed), left=0)  # noqa: S311 - test data


def play(source: Any, *events: Any) -> None:
    """Send events, each a body or a body with its group, and deliver until nothing is left."""
    for event in events:
        source.send(Sent(*event) if isinstance(event, tuple) else Sent(event))
    for _ in range(200):
        if source.idle:
            return
        source.step()
    pytest.fail("it never ends")


class Function:
    """A function that reports poison, and remembers what it got and did."""

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.batches: list[list[str]] = []
        self.done: list[str] = []

    def of_sqs(self, event: Any, _: str) -> Any:
        bodies = {record["messageId"]: record["body"] for record in event["Records"]}
        return self._answer(bodies)

    def of_stream(self, event: Any, _: str) -> Any:
        return self._answer(
            {r["kinesis"]["sequenceNumber"]: r["kinesis"]["data"] for r in event["Records"]}
        )

    def _answer(self, bodies: dict[str, str]) -> Any:
        self.batches.append(list(bodies.values()))
        failed = [id_ for id_, body in bodies.items() if body == POISON]
        if failed and self.whole:
            raise Crash
        self.done += [body for body in bodies.values() if body != POISON]
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def test_only_what_is_reported_comes_again_until_its_receives_are_used_up() -> None:
    function = Function()
    queue = Queue(calm(), function.of_sqs, max_receives=3)
    play(queue, *"abcdefghi", POISON)
    assert sorted(function.done) == sorted("abcdefghi")
    assert sum(POISON in batch for batch in function.batches) == 3
    assert [(sent.event, sent.receives) for sent in queue.dead] == [(POISON, 3)]


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": "unknown"}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"wrong": "key"}]},
    ],
)
def test_an_answer_that_lambda_does_not_take_fails_the_whole_batch(answer: Any) -> None:
    queue = Queue(calm(), lambda *_: answer, max_receives=2)
    play(queue, "a", "b")
    assert sorted(sent.event for sent in queue.dead) == ["a", "b"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}])
def test_an_answer_without_failures_deletes_the_batch(answer: Any) -> None:
    queue = Queue(calm(), lambda *_: answer)
    play(queue, "a", "b")
    assert (queue.dead, queue.messages) == ([], [])


def test_a_failure_holds_up_its_own_group_until_it_is_dead_lettered() -> None:
    function = Function(whole=True)
    queue = FifoQueue(calm(), function.of_sqs, max_receives=2, batch=1)
    play(queue, (POISON, "one"), ("1", "one"), ("2", "one"), ("3", "two"))
    assert function.done.index("1") < function.done.index("2")
    first = function.batches.index(["1"])
    assert function.batches[:first].count([POISON]) == 2, "nothing passes it while it is retried"
    assert [sent.event for sent in queue.dead] == [POISON]


def test_an_event_is_run_three_times_and_then_recorded_with_its_condition() -> None:
    ids: list[str] = []

    def fails(event: Any, request_id: str) -> Any:
        if event == POISON:
            ids.append(request_id)
            raise ValueError(event)
        return {}

    events = Asynchronous(calm(), fails)
    play(events, "a", POISON)
    assert len(ids) == 3
    assert len(set(ids)) == 1, "a retry has the same request id"
    (record,) = events.records
    assert record["requestPayload"] == POISON
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3


def shard(function: Callable[..., Any], **settings: Any) -> Stream:
    return Stream(calm(), function, batch=8, **settings)


def test_a_shard_goes_on_from_the_lowest_number_that_failed() -> None:
    function = Function()
    stream = shard(function.of_stream, retries=2)
    play(stream, *"abc", POISON, *"def")
    assert stream.dead[0].event == POISON
    assert function.done[:3] == list("abc"), "in order"
    assert set("abcdef") <= set(function.done)


def test_a_batch_that_ends_its_function_is_halved_until_the_poison_is_alone() -> None:
    function = Function(whole=True)
    stream = shard(function.of_stream, retries=1)
    play(stream, *"abc", POISON, *"defgh")
    assert [sent.event for sent in stream.dead] == [POISON]
    assert function.done == list("abcdefgh")
    assert function.batches.count([POISON]) == 2, "a bisection is no retry"


def test_without_bisection_the_whole_batch_is_given_up() -> None:
    function = Function(whole=True)
    stream = shard(function.of_stream, retries=1, bisects=False)
    play(stream, POISON, *"abcdefg")
    assert stream.dead[0].event == POISON
    assert [sent.event for sent in stream.dead][1:] + function.done == list("abcdefg")


def test_a_batch_that_fails_four_times_is_kept_below_the_error_prefix() -> None:
    calls: list[int] = []

    def fails(event: Any, _: str) -> Any:
        calls.append(len(event["records"]))
        raise Crash

    transform = Transform(calm(), fails, batch=1)
    play(transform, "a", "b")
    assert len(calls) == 8
    assert [sent.event for sent in transform.dead] == ["a", "b"]


def test_a_record_without_an_answer_has_failed() -> None:
    transform = Transform(calm(), lambda *_: {"records": []})
    play(transform, "a")
    assert len(transform.failed) == 1
    assert transform.lines() == []


def test_trouble_ends() -> None:
    trouble = Trouble(random.Random(3), left=5)  # noqa: S311 - test data
    assert sum(trouble.strikes("a call fails", 2) for _ in range(1_000)) == 5
