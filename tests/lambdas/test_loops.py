"""The handler of a queue in a process: as Lambda would call it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import loops
from serverless_patterns.lambdas.request_reply import quotes
from tests import moto_cloud, queues_in_memory
from tests.moto_cloud import UNREACHABLE, client_error
from tests.queues_in_memory import ANSWERS, REQUESTS, work
from tests.request_reply import handlers
from tests.request_reply.handlers import QUOTE, asked

from . import signals

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud
    from tests.queues_in_memory import Queues

cloud = moto_cloud.fixture(handlers.cloud)
queues = queues_in_memory.fixture()


def test_a_loop_ends_after_its_batch_and_shows_what_came_meanwhile(
    cloud: Cloud, queues: Queues
) -> None:
    loop = loops.Loop(quotes.handler, REQUESTS)
    queues.put(asked("customer-1"))
    cloud.faults.append(lambda name, *_: loop.stop.set() if name == "ReceiveMessage" else None)
    loop.run()
    assert len(queues.queues[REQUESTS]) == 1
    assert cloud.items() == []


def test_a_loop_asks_an_empty_queue_again(cloud: Cloud) -> None:
    loop, asked_for = loops.Loop(quotes.handler, REQUESTS), 0

    def nothing(*_: Any) -> tuple[int, dict[str, Any]]:
        nonlocal asked_for
        asked_for += 1
        if asked_for == 2:
            loop.stop.set()
        return 200, {}

    cloud.fakes["sqs"] = nothing
    loop.run()
    assert asked_for == 2


@pytest.mark.parametrize("error", [ValueError("a bug"), client_error("Throttled")])
def test_a_loop_outlives_errors_of_its_handler_and_of_sqs(
    cloud: Cloud, queues: Queues, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "PAUSE", 0.01)
    failing = [error]

    def handler(event: Any, context: Any) -> Any:
        if failing:
            queues.show()
            raise failing.pop()
        loop.stop.set()
        return quotes.handler(event, context)

    loop = loops.Loop(handler, REQUESTS)
    cloud.fail("ReceiveMessage", UNREACHABLE)
    queues.put(asked("customer-1"))
    loop.run()
    lines = [(line["level"], line["message"]) for line in cloud.log_lines()][:2]
    assert lines == [("WARNING", "NotReceived"), ("ERROR", "Failed")]
    assert cloud.log_lines("NotReceived")[0]["reason"] == "EndpointConnectionError"
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]
    assert queues.queues[REQUESTS] == []


def test_a_loop_deletes_what_is_done_with_and_leaves_what_failed(queues: Queues) -> None:
    for number in range(3):
        queues.put(asked(f"customer-{number}"), id_=f"id-{number}")

    def handler(event: Any, _: Any) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}

    assert work(handler) == ["m-0"]
    queues.show()
    assert [one["MessageId"] for one in queues.queues[REQUESTS]] == ["m-0"]


def test_a_loop_says_what_it_could_not_delete(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"))
    cloud.fail("DeleteMessageBatch", UNREACHABLE)
    work(lambda *_: {"batchItemFailures": []})
    [line] = cloud.log_lines("NotDeleted")
    assert (line["level"], line["records"]) == ("WARNING", 1)
    assert line["codes"] == ["EndpointConnectionError"]


@pytest.mark.parametrize("number", signals.ENDS)
def test_a_loop_ends_when_its_container_is_told_to(
    cloud: Cloud, queues: Queues, number: signal.Signals
) -> None:
    queues.put(asked("customer-1"))

    def handler(*_: Any) -> Any:
        signal.raise_signal(number)
        return {"batchItemFailures": []}

    with signals.kept():
        loops.main(handler)
    queues.show()
    assert queues.queues[REQUESTS] == []
    assert [line["pid"] for line in cloud.log_lines("Loop")] == [os.getpid()]


def test_a_loop_leaves_a_batch_of_which_every_request_failed(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"))
    cloud.fail("TransactWriteItems", client_error("InternalServerError"), times=9)
    assert work(quotes.handler) == ["m-0"]
