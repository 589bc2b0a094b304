"""What the responder promises besides ``tests/lambdas``: answers, whatever fails; and the sweep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import loops
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from serverless_patterns.lambdas.request_reply import quotes, respond, sweep, wire
from tests.moto_cloud import UNREACHABLE, Context, client_error
from tests.request_reply.handlers import BASE, NAME, PREFIX, asked
from tests.request_reply.world import LETTERS, REQUESTS, work

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud
    from tests.request_reply.world import Queues

ANSWERS = f"{BASE}/{NAME}"
QUOTE = asked("customer-1") | {"quote_id": "id-1", "unit_price": "49.90", "total": "99.80"}
OTHER = f"{PREFIX}fedcba9876543210"
PLACES = [
    (operation, moment)
    for operation in ("TransactWriteItems", "SendMessageBatch", "DeleteMessageBatch")
    for moment in ("before", "after")
]


class CrashError(BaseException):
    """The process ends here."""


def outcomes(cloud: Cloud) -> dict[str, int]:
    return cloud.outcomes()


# Answers


def test_a_request_is_answered_and_then_deleted(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"))
    assert work() == []
    queues.show()
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]
    [answer] = queues.queues[ANSWERS]
    assert answer["MessageAttributes"] == {"CorrelationId": wire.text("id-1")}
    assert queues.queues[REQUESTS] == []


@pytest.mark.parametrize(("operation", "moment"), PLACES)
def test_a_crash_at_any_place_has_one_effect_and_the_same_answer(
    cloud: Cloud, queues: Queues, operation: str, moment: str
) -> None:
    """Before the effect, between it and the answer, after the answer, and after all."""
    queues.put(asked("customer-1"))
    cloud.fail(operation, CrashError(), when=moment)  # type: ignore[arg-type]
    with pytest.raises(CrashError):
        work()
    queues.show()
    assert work() == []
    queues.show()
    answers = queues.bodies(ANSWERS)
    assert answers in ([{"result": QUOTE}], [{"result": QUOTE}] * 2)
    assert len(cloud.items()) == 1
    assert queues.queues[REQUESTS] == []


def test_the_same_request_twice_in_a_batch_has_one_effect_and_two_answers(
    cloud: Cloud, queues: Queues
) -> None:
    queues.put(asked("customer-1"))
    queues.put(asked("customer-1"), OTHER)
    queues.queues[f"{BASE}/{OTHER}"] = []
    assert work() == []
    assert queues.bodies(ANSWERS) == queues.bodies(f"{BASE}/{OTHER}") == [{"result": QUOTE}]
    assert len(cloud.items()) == 1
    assert outcomes(cloud) == {"answered": 1, "duplicate": 1}


def test_another_request_under_an_id_is_refused_in_a_batch_and_after_it(queues: Queues) -> None:
    for quantity in (2, 3):
        queues.put(asked("customer-1", quantity))
    work()
    queues.put(asked("customer-1", 4))
    work()
    reasons = [one.get("error", {}).get("reason") for one in queues.bodies(ANSWERS)]
    assert reasons == [None, "conflict", "conflict"]
    assert len(queues.queues[LETTERS]) == 2


def test_poison_is_answered_with_the_reason_and_kept_with_it(queues: Queues) -> None:
    queues.put(asked("customer-1", sku="NO-PART"))
    queues.put("{", id_="id-2")
    assert work() == []
    reasons = [one["error"]["reason"] for one in queues.bodies(ANSWERS)]
    assert reasons == ["sku", "not_json"]
    kept = [one["MessageAttributes"]["Reason"]["StringValue"] for one in queues.queues[LETTERS]]
    assert kept == reasons


def test_only_requests_that_failed_are_left_and_they_are_not_answered(
    cloud: Cloud, queues: Queues
) -> None:
    queues.put(asked("customer-1"))
    queues.put(asked("customer-2"), id_="id-2")
    cloud.fail_all_about("customer-2")
    [left] = work()
    assert left == "m-1"
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]


@pytest.mark.parametrize("sku", ["BRK-PAD-F", "NO-PART"])
def test_a_request_whose_answer_is_not_sent_is_delivered_again_and_not_dead_lettered(
    cloud: Cloud, queues: Queues, sku: str
) -> None:
    queues.put(asked("customer-1", sku=sku))
    cloud.fail("SendMessageBatch", UNREACHABLE, times=1)
    assert work() == ["m-0"]
    assert queues.queues[LETTERS] == []
    queues.show()
    assert work() == []
    assert len(queues.bodies(ANSWERS)) == 1
    assert len(queues.queues[LETTERS]) == (sku == "NO-PART")


def test_an_answer_that_sqs_failed_in_a_batch_is_sent_once_more(queues: Queues) -> None:
    for number in range(3):
        queues.put(asked(f"customer-{number}"), id_=f"id-{number}")
    queues.failing["SendMessageBatch"] = 2
    assert work() == []
    assert len(queues.bodies(ANSWERS)) == 3


def test_a_requester_that_is_gone_is_counted_and_fails_nothing(
    cloud: Cloud, queues: Queues
) -> None:
    queues.put(asked("customer-1"), OTHER)
    queues.put(asked("customer-2", sku="NO-PART"), OTHER, "id-2")
    assert work() == []
    assert outcomes(cloud) == {"nobody": 1, "refused": 1}
    assert len(queues.queues[LETTERS]) == 1  # poison is kept, whoever asked


def test_what_nobody_waits_for_any_more_is_not_worked_on(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"), deadline=int(time.time() * 1000) - 1)
    assert work() == []
    assert (cloud.items(), queues.queues[ANSWERS], queues.queues[LETTERS]) == ([], [], [])
    assert outcomes(cloud) == {"expired": 1}


@pytest.mark.parametrize(
    "forged",
    [
        "", "requests", "letters", PREFIX, NAME[:-1], f"{NAME}0", f"{NAME[:-1]}G",
        f"{PREFIX}0123456789abcde\n", f"{PREFIX}../../x/letters0", NAME.upper(), f" {NAME}",
        f"{BASE}/{NAME}", f"https://sqs.eu-west-1.amazonaws.com/123456789012/{NAME}",
        f"https://sqs.eu-central-1.amazonaws.com/999999999999/{NAME}", f"https://evil.test/{NAME}",
        f"arn:aws:sqs:eu-central-1:999999999999:{NAME}", f"victim-{NAME}",
    ],
)  # fmt: skip
def test_a_forged_address_is_refused_and_nothing_is_sent_there(
    cloud: Cloud, queues: Queues, forged: str
) -> None:
    queues.put(asked("customer-1"), forged)
    assert work() == []
    [letter] = queues.queues[LETTERS]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "reply_to"
    assert cloud.calls["SendMessageBatch"] == 1  # the letter
    assert cloud.items() == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"id_": ""}, "field"),
        ({"id_": "a b"}, "field"),
        ({"id_": "x" * 65}, "field"),
        ({"deadline": -1}, "deadline"),
        ({"deadline": 10**15}, "deadline"),
    ],
)
def test_a_request_without_a_valid_id_or_deadline_is_refused(
    queues: Queues, given: dict[str, Any], reason: str
) -> None:
    queues.put(asked("customer-1"), **given)
    work()
    [letter] = queues.queues[LETTERS]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == reason


def test_an_answer_that_is_larger_than_sqs_takes_says_so(cloud: Cloud, queues: Queues) -> None:
    large = wire.result("x" * wire.MAX_BYTES)
    handler = respond.handler(
        lambda request: request.document,
        lambda parsed: {m.id: respond.Answered("answered", answer=large) for _, m in parsed},
    )
    queues.put({})
    assert work(handler) == []
    assert queues.bodies(ANSWERS)[0]["error"]["reason"] == "answer_size"


@pytest.mark.parametrize("text", ["\x00\x1f", "\ud83d", "部品 🚗", "\ufffe"])
def test_an_answer_is_of_characters_that_sqs_takes(text: str) -> None:
    assert wire.result(text).isascii()


def test_a_quote_costs_what_its_parts_cost(cloud: Cloud, queues: Queues) -> None:
    for number, quantity in enumerate((0, 1001, True, "2")):
        queues.put(asked("c", quantity), id_=f"id-{number}")  # type: ignore[arg-type]
    work()
    assert [one["error"]["reason"] for one in queues.bodies(ANSWERS)] == ["field"] * 4


# The loop of a process


def test_a_loop_ends_after_its_batch_and_shows_what_came_meanwhile(
    cloud: Cloud, queues: Queues
) -> None:
    loop = loops.Loop(quotes.handler, REQUESTS)
    queues.put(asked("customer-1"))
    cloud.faults.append(lambda name, *_: loop.stop.set() if name == "ReceiveMessage" else None)
    loop.run()
    assert len(queues.queues[REQUESTS]) == 1
    assert cloud.items() == []


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
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]
    assert queues.queues[REQUESTS] == []


def test_a_loop_leaves_a_batch_of_which_every_request_failed(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"))
    cloud.fail("TransactWriteItems", client_error("InternalServerError"), times=9)
    assert work() == ["m-0"]


# The sweep


def swept(**event: Any) -> dict[str, int]:
    context: Any = Context()
    return sweep.handler(event, context)


def test_the_sweep_deletes_queues_without_a_heartbeat_and_no_other(
    cloud: Cloud, queues: Queues
) -> None:
    now = time.time()
    ages = {"0" * 16: now - 1801, "1" * 16: now - 1700, "2" * 16: now}
    for name, beat in ages.items():
        tags = {wire.HEARTBEAT: f"{beat:.0f}"}
        queues("CreateQueue", {"QueueName": f"{PREFIX}{name}", "tags": tags})
    queues("CreateQueue", {"QueueName": "another-answers", "tags": {}})
    assert swept() == {"looked": 4, "found": 2}  # one is without a tag
    left = {url.rpartition("/")[2] for url in queues.queues}
    assert left == {"requests", "letters", "another-answers", PREFIX + "1" * 16, PREFIX + "2" * 16}
    assert swept(idle_seconds=1000) == {"looked": 2, "found": 1}


def test_a_queue_that_its_requester_deletes_meanwhile_is_no_error(
    cloud: Cloud, queues: Queues
) -> None:
    def close(name: str, *_: str) -> None:
        if name == "ListQueueTags":
            queues.queues.pop(ANSWERS, None)

    cloud.faults.append(close)
    assert swept() == {"looked": 1, "found": 0}


def test_a_sweep_that_may_not_delete_or_has_no_time_left_fails(
    cloud: Cloud, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.fail("DeleteQueue", client_error("AccessDenied"))
    with pytest.raises(Exception, match="AccessDenied"):
        swept()
    monkeypatch.setattr(sweep, "ENDS_BEFORE", 10**9)
    with pytest.raises(UnfinishedError, match="there are more"):
        swept()
    assert '"ObjectsFound":' in cloud.log.getvalue() or cloud.log_lines("Sweep")[-1]["found"] == 1
