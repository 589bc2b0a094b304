"""A queue's consumer that answers: whatever fails, each request has one effect and one answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import replies, responding
from serverless_patterns.lambdas.request_reply import quotes
from serverless_patterns.patterns.limits import SQS_MESSAGE_BYTES
from tests import moto_cloud, queues_in_memory
from tests.moto_cloud import UNREACHABLE, cancelled, client_error
from tests.queues_in_memory import ANSWERS, BASE, LETTERS, NAME, PREFIX, REQUESTS
from tests.request_reply import handlers
from tests.request_reply.handlers import QUOTE, asked

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud
    from tests.queues_in_memory import Queues

cloud = moto_cloud.fixture(handlers.cloud)
queues = queues_in_memory.fixture()
OTHER = f"{PREFIX}fedcba9876543210"
PLACES = [
    (operation, moment)
    for operation in ("TransactWriteItems", "SendMessageBatch", "DeleteMessageBatch")
    for moment in ("before", "after")
]


class CrashError(BaseException):
    """The process ends here."""


def work(handler: Any = quotes.handler) -> list[str]:
    return queues_in_memory.work(handler)


def test_a_request_is_answered_and_then_deleted(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"))
    assert work() == []
    queues.show()
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]
    [answer] = queues.queues[ANSWERS]
    assert answer["MessageAttributes"] == {"CorrelationId": replies.text("id-1")}
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


def test_a_request_whose_deadline_is_an_hour_away_is_worked_on(queues: Queues) -> None:
    queues.put(asked("customer-1"), deadline=int(time.time() + 3_600) * 1_000)
    assert work() == []
    assert queues.bodies(ANSWERS) == [{"result": QUOTE}]


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

    def throttle(name: str, moment: str, body: str) -> None:
        if (name, moment) == ("TransactWriteItems", "before"):
            raise cancelled("None", "ThrottlingError")
        if name == "PutItem" and "customer-2" in body:
            raise client_error("ThrottlingException")

    cloud.faults.append(throttle)
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
    assert cloud.outcomes() == {"nobody": 1, "refused": 1}
    assert len(queues.queues[LETTERS]) == 1  # poison is kept, whoever asked


def test_what_nobody_waits_for_any_more_is_not_worked_on(cloud: Cloud, queues: Queues) -> None:
    queues.put(asked("customer-1"), deadline=int(time.time() * 1000) - 1)
    assert work() == []
    assert (cloud.items(), queues.queues[ANSWERS], queues.queues[LETTERS]) == ([], [], [])
    assert cloud.outcomes() == {"expired": 1}


@pytest.mark.parametrize(
    "forged",
    [
        "", "requests", "letters", PREFIX, NAME[:-1], f"{NAME}0", f"{NAME[:-1]}G",
        f"{PREFIX}0123456789abcde\n", f"{PREFIX}../../x/letters0", NAME.upper(), f" {NAME}",
        f"{BASE}/{NAME}", f"https://sqs.eu-west-1.amazonaws.com/123456789012/{NAME}",
        f"https://sqs.eu-central-1.amazonaws.com/999999999999/{NAME}", f"https://evil.test/{NAME}",
        f"arn:aws:sqs:eu-central-1:999999999999:{NAME}", f"victim-{NAME}",
        f"other-queues-{NAME[-16:]}",
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


def test_an_answer_that_just_fits_is_sent_as_it_is() -> None:
    just = "x" * (replies.MAX_BYTES - replies.OVERHEAD)
    assert replies.fitting(just) == just
    assert "answer_size" in replies.fitting(f"{just}x")


def test_an_answer_that_is_larger_than_sqs_takes_says_so(cloud: Cloud, queues: Queues) -> None:
    large = replies.result("x" * replies.MAX_BYTES)
    handler = responding.handler(
        lambda request: request.document,
        lambda parsed: {m.id: responding.Answered("answered", answer=large) for _, m in parsed},
    )
    queues.put({})
    assert work(handler) == []
    assert queues.bodies(ANSWERS)[0]["error"]["reason"] == "answer_size"


@pytest.mark.parametrize("text", ["\x00\x1f", "\ud83d", "部品 🚗", "\ufffe"])
def test_an_answer_is_of_characters_that_sqs_takes(text: str) -> None:
    assert replies.result(text).isascii()


def test_the_largest_answer_is_as_large_as_sqs_takes() -> None:
    assert replies.MAX_BYTES == SQS_MESSAGE_BYTES


def test_an_answer_that_is_too_deep_is_no_answer() -> None:
    with pytest.raises(ValueError, match="too deep"):
        replies.read("[" * 100_000)
