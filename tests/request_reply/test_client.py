"""The requester: each call gets its own answer, or is told why not, whatever comes or does not."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from serverless_patterns.lambdas.foundation import loops, replies
from serverless_patterns.lambdas.request_reply import quotes
from serverless_patterns.patterns.limits import SQS_MESSAGE_BYTES
from serverless_patterns.patterns.request_reply import client
from serverless_patterns.patterns.request_reply.client import NoAnswerError, Requester
from tests.moto_cloud import UNREACHABLE
from tests.queues_in_memory import BASE, PREFIX, REQUESTS, work
from tests.request_reply.handlers import asked
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., Requester]

    from tests.moto_cloud import Cloud
    from tests.queues_in_memory import Queues

TOLD = {"prefix": PREFIX, "timeout": 30, "heartbeat": 300, "attributes": {"Policy": "{}"}}
FIFO = f"{BASE}/requests.fifo"


@pytest.fixture
def make(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Requester]]:
    """Return what makes requesters, which are closed at the end of the test."""
    monkeypatch.setattr(client, "USABLE_AFTER", 0)
    monkeypatch.setattr(client, "PAUSE", 0.01)
    made: list[Requester] = []

    def make(url: str = REQUESTS, **told: Any) -> Requester:
        made.append(Requester(url, TOLD | told, session=boto3.DEFAULT_SESSION))
        return made[-1]

    yield make
    for one in made:
        one.close()
    ended()


def ended() -> None:
    """Wait until the threads of closed requesters have ended."""
    for thread in threading.enumerate():
        if thread.name in ("_send", "_receive", "_beat"):
            thread.join(5)


@pytest.fixture
def responder(cloud: Cloud, queues: Queues) -> Iterator[None]:
    """Answer requests in a thread, while the test runs."""
    loop = loops.Loop(quotes.handler, REQUESTS)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield
    loop.stop.set()
    thread.join()


@contextmanager
def calling(queues: Queues, by: Requester, document: Any = None) -> Iterator[Future[Any]]:
    """Call in a thread, under the id ``mine``, until the block ends."""
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(by.call, document or {}, request_id="mine")
        until(lambda: bool(queues.queues[REQUESTS]))
        yield call


def answer(queues: Queues, of: Requester, id_: str, body: Any) -> None:
    """Send an answer."""
    attributes = {replies.CORRELATION_ID: replies.text(id_)}
    entry = {"Id": "0", "MessageBody": json.dumps(body), "MessageAttributes": attributes}
    queues("SendMessageBatch", {"QueueUrl": f"{BASE}/{of.name}", "Entries": [entry]})


def given_up(of: Requester, id_: str = "", document: Any = None, **given: Any) -> NoAnswerError:
    with pytest.raises(NoAnswerError) as raised:
        of.call(document, request_id=id_, **{"timeout": 0.01, **given})
    return raised.value


@pytest.mark.usefixtures("responder")
def test_a_call_returns_its_answer_as_a_function_does(make: Make) -> None:
    by = make()
    told = by.call(asked("customer-1"), request_id="mine")
    assert told == asked("customer-1") | {
        "quote_id": "mine", "unit_price": "49.90", "total": "99.80",
    }  # fmt: skip
    assert asyncio.run(by.call_async(asked("customer-1"), request_id="mine")) == told
    assert by.counts == {"answered": 2}


@pytest.mark.usefixtures("responder")
def test_a_rejected_call_raises_with_the_reason(make: Make) -> None:
    by, wrong = make(), asked("customer-1", sku="NO-PART")
    with pytest.raises(client.RejectedError, match="no part of this number") as raised:
        by.call(wrong)
    assert raised.value.reason == "sku"
    with pytest.raises(client.RejectedError):
        asyncio.run(by.call_async(wrong))


@pytest.mark.usefixtures("responder")
def test_a_thousand_calls_at_once_cost_600_calls_of_aws_and_5200_with_one_queue_each(
    cloud: Cloud, queues: Queues, make: Make
) -> None:
    cloud.answer_writes()  # moto takes long for many
    by = make()

    async def each() -> list[Any]:
        calls = (by.call_async(asked(f"customer-{n}"), request_id=f"id-{n}") for n in range(1000))
        return await asyncio.gather(*calls)

    told = asyncio.run(each())
    assert [one["quote_id"] for one in told] == [f"id-{n}" for n in range(1000)]
    until(lambda: not queues._hidden)
    assert queues.calls["CreateQueue"] == 1
    ours = queues.calls.total()  # both queues: sent, received, deleted, by batches of ten
    assert 600 <= ours < 680
    queues.calls.clear()
    for number in range(10):  # as many write it
        one_queue_a_call(queues, f"{number:016x}")
    assert 100 * queues.calls.total() + 200 == 5200  # its requests come in batches of ten, too


def one_queue_a_call(queues: Queues, name: str) -> None:
    made: dict[str, Any] = {"QueueName": f"{PREFIX}{name}", "tags": {}}
    url = queues("CreateQueue", made)[1]["QueueUrl"]
    queues.put(asked("customer-1"), made["QueueName"], name)
    entry = {"Id": "0", "MessageBody": "{}", "MessageAttributes": {}}
    queues("SendMessageBatch", {"QueueUrl": url, "Entries": [entry]})
    received = {"QueueUrl": url, "WaitTimeSeconds": 1, "MaxNumberOfMessages": 1}
    assert queues("ReceiveMessage", received)[1]["Messages"]
    queues("DeleteQueue", {"QueueUrl": url})


# Answers that do not come, or that nobody waits for


def test_a_call_without_an_answer_ends_in_time_and_names_its_id(make: Make) -> None:
    by = make()
    error = given_up(by, "mine")
    assert (error.request_id, error.reason) == ("mine", "timeout")
    assert isinstance(error, TimeoutError)
    with pytest.raises(NoAnswerError, match="Call again with the same request_id"):
        asyncio.run(by.call_async({}, timeout=0.01))


def test_late_and_repeated_answers_and_those_for_nobody_are_dropped_counted_and_deleted(
    queues: Queues, make: Make
) -> None:
    by = make()
    given_up(by, "late")
    with calling(queues, by) as call:
        for id_ in ("mine", "mine", "late", "unknown", ""):
            answer(queues, by, id_, {"result": id_})
        assert call.result(5) == "mine"
    wanted = {"answered": 1, "duplicate": 1, "late": 1, "nobody": 2}
    until(lambda: by.counts == wanted)
    until(lambda: not queues._hidden)
    assert queues.queues[f"{BASE}/{by.name}"] == []


@pytest.mark.parametrize("body", [[], "text", 7, None, {}, {"error": {}}, {"error": "x"}])
def test_what_is_no_answer_is_told_to_nobody(queues: Queues, make: Make, body: Any) -> None:
    by = make()
    with calling(queues, by) as call:
        answer(queues, by, "mine", body)
        until(lambda: by.counts["nobody"] == 1)
        answer(queues, by, "mine", {"result": None})
        assert call.result(5) is None


def test_a_task_that_is_cancelled_is_a_caller_that_is_gone(queues: Queues, make: Make) -> None:
    by = make()

    async def cancelled() -> None:
        task = asyncio.create_task(by.call_async({}, request_id="mine"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    answer(queues, by, "mine", {"result": 1})
    until(lambda: by.counts == {"late": 1})


def test_a_call_says_until_when_it_waits(queues: Queues, make: Make) -> None:
    before = time.time()
    given_up(make(), "mine")
    until(lambda: bool(queues.queues[REQUESTS]))
    said = queues.queues[REQUESTS][0]["MessageAttributes"]["Deadline"]["StringValue"]
    assert 0 <= int(said) - 1000 * (before + 0.01) < 2000


def test_a_request_that_sqs_fails_in_a_batch_is_sent_again(
    queues: Queues, make: Make, cloud: Cloud
) -> None:
    by = make()
    queues.failing["SendMessageBatch"] = 2
    with calling(queues, by, asked("customer-1")) as call:
        work(quotes.handler)
        assert call.result(5)["quote_id"] == "mine"


def test_between_two_attempts_to_send_there_is_a_pause(
    queues: Queues, make: Make, monkeypatch: pytest.MonkeyPatch, cloud: Cloud
) -> None:
    by = make()
    monkeypatch.setattr(client, "PAUSE", 0.2)
    queues.failing["SendMessageBatch"] = 10_000
    given_up(by, timeout=0.5)
    assert cloud.calls["SendMessageBatch"] <= 4


def test_a_call_that_cannot_be_sent_raises_the_error(cloud: Cloud, make: Make) -> None:
    cloud.fail("SendMessageBatch", UNREACHABLE)
    with pytest.raises(EndpointConnectionError):
        make().call({})


def test_large_requests_share_no_call_and_one_that_is_too_large_is_not_sent(
    queues: Queues, make: Make
) -> None:
    by, half = make(), "x" * (SQS_MESSAGE_BYTES // 2)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(given_up, by, document=half, timeout=0.3)
    assert queues.calls["SendMessageBatch"] == 4
    with pytest.raises(ValueError, match="more than SQS takes"):
        by.call("x" * SQS_MESSAGE_BYTES)


@pytest.mark.parametrize("given", [{"request_id": "a b"}, {"request_id": "x" * 65}, {"group": "é"}])
def test_an_id_that_is_not_valid_is_not_sent(make: Make, given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be 1 to 64 letters"):
        make().call({}, **given)  # type: ignore[arg-type]


def test_an_id_is_waited_for_once_at_a_time(queues: Queues, make: Make) -> None:
    by = make()
    with calling(queues, by) as call:
        with pytest.raises(ValueError, match="mine is waited for already"):
            by.call({}, request_id="mine")
        answer(queues, by, "mine", {"result": 1})
        assert call.result(5) == 1


def test_a_call_under_the_id_of_one_that_is_just_over_is_told_its_own_answer(
    queues: Queues, make: Make
) -> None:
    by = make()

    async def both() -> tuple[Any, Any]:
        first, second = (by.call_async({}, request_id="mine", timeout=5) for _ in range(2))
        first_is = asyncio.create_task(first)
        await asyncio.sleep(0)
        answer(queues, by, "mine", {"result": 1})
        until(lambda: by.counts["answered"] == 1)  # the first has not heard of it yet
        second_is = asyncio.create_task(second)
        told = await first_is
        answer(queues, by, "mine", {"result": 2})
        return told, await second_is

    assert asyncio.run(both()) == (1, 2)


def test_no_group_is_shared_between_requesters_and_by_default_none_between_calls(
    queues: Queues, make: Make
) -> None:
    queues.queues[FIFO] = []
    for by in (make(FIFO), make(FIFO)):
        for id_, group in (("a", "g"), ("b", "g"), ("c", ""), ("d", "")):
            given_up(by, id_, group=group)
    sent = queues.queues[FIFO]
    until(lambda: len(sent) == 8)
    groups = [one["MessageGroupId"] for one in sent]
    assert len({*groups}) == 6
    assert max(map(len, groups)) <= 128
    assert len({one["MessageDeduplicationId"] for one in sent}) == 8


def test_a_standard_queue_is_fair_to_each_requester(queues: Queues, make: Make) -> None:
    for by in (make(), make()):
        for id_ in "ab":
            given_up(by, id_)
    until(lambda: len(queues.queues[REQUESTS]) == 4)
    groups = [one["MessageGroupId"] for one in queues.queues[REQUESTS]]
    assert [groups.count(one) for one in dict.fromkeys(groups)] == [2, 2]


# The answer queue


def test_each_requester_has_a_queue_of_its_own_and_deletes_it(
    queues: Queues, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERS", json.dumps(TOLD))
    with make() as one, Requester.of_environment(session=boto3.DEFAULT_SESSION) as other:
        assert one.name != other.name
        assert all(by.name.startswith(PREFIX) and len(by.name) == 29 for by in (one, other))
        assert [made["Attributes"] for made in queues.made] == [TOLD["attributes"]] * 2
        assert [*queues.made[0]["tags"]] == [replies.HEARTBEAT]
    assert not {f"{BASE}/{by.name}" for by in (one, other)} & {*queues.queues}
    with pytest.raises(ValueError, match="closed"):
        one.call({})


def test_a_call_that_waits_when_its_requester_is_closed_is_told(queues: Queues, make: Make) -> None:
    by = make()
    with calling(queues, by) as call:
        by.close()
        with pytest.raises(NoAnswerError, match="closed"):
            call.result(5)


def test_a_requester_that_is_closed_while_it_makes_another_queue_leaves_none(
    queues: Queues, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, by = {*queues.queues}, make()
    monkeypatch.setattr(client, "USABLE_AFTER", 0.2)
    del queues.queues[f"{BASE}/{by.name}"]
    until(lambda: queues.calls["CreateQueue"] == 2)
    by.close()
    time.sleep(0.3)
    assert {*queues.queues} == there


def test_a_requester_that_was_closed_warns_of_nothing(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make().close()
    ended()
    assert not caplog.records


def test_heartbeats_keep_the_queue_from_the_sweep(queues: Queues, make: Make) -> None:
    by = make(heartbeat=0.01)
    until(lambda: queues.calls["TagQueue"] > 2)
    assert time.time() - float(queues.tags[f"{BASE}/{by.name}"][replies.HEARTBEAT]) < 5


@pytest.mark.parametrize("heartbeat", [300, 0.01])
def test_a_requester_whose_queue_was_deleted_makes_another_and_tells_who_waits(
    queues: Queues, make: Make, heartbeat: float
) -> None:
    by = make(heartbeat=heartbeat)
    name = by.name
    with calling(queues, by) as call:
        del queues.queues[f"{BASE}/{name}"]
        with pytest.raises(NoAnswerError, match="queue_gone"):
            call.result(5)
    queues.queues[REQUESTS].clear()
    with calling(queues, by) as call:
        [sent] = queues.queues[REQUESTS]
        assert sent["MessageAttributes"]["ReplyTo"]["StringValue"] == by.name != name
        answer(queues, by, "mine", {"result": 1})
        assert call.result(5) == 1


def test_between_two_attempts_to_make_another_queue_there_is_a_pause(
    queues: Queues, make: Make, monkeypatch: pytest.MonkeyPatch, cloud: Cloud
) -> None:
    by = make()
    monkeypatch.setattr(client, "PAUSE", 0.2)
    cloud.fail("CreateQueue", UNREACHABLE, times=10_000)
    del queues.queues[f"{BASE}/{by.name}"]
    time.sleep(0.5)
    assert 1 <= cloud.calls["CreateQueue"] - 1 <= 4


@pytest.mark.parametrize("error", [UNREACHABLE, ValueError("It is odd.")])
def test_answers_come_when_sqs_is_back(
    cloud: Cloud, queues: Queues, make: Make, error: Exception
) -> None:
    cloud.fail("ReceiveMessage", error, times=4)
    by = make()
    with calling(queues, by) as call:
        answer(queues, by, "mine", {"result": 1})
        assert call.result(5) == 1
