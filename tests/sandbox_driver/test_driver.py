"""The driver's steps check what they promise, and are red when it does not hold."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import pytest
from rich.console import Console

from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import Report


class Stack(dict[str, str]):
    """A stack of outputs, with clients that a test makes; it executes what it is told to."""

    region, account = "eu-west-1", "123456789012"

    def __init__(self, executes: bool = True, **clients: Any) -> None:
        super().__init__(DeadLetterQueueUrl="dlq", QueueUrl="queue", FunctionName="function")
        self._clients, self._executes = clients, executes

    def client(self, service: str) -> Any:
        return self._clients[service.replace("lambda", "lambda_")]

    def executes(self, _: str) -> bool:
        return self._executes


def driver(stack: Stack | None = None, **options: Any) -> Driver:
    driven: Any = stack or Stack()
    return Driver(driven, Report(Console(file=io.StringIO())), **options)


def letter(body: str, reason: str) -> dict[str, Any]:
    attributes = {"Reason": {"DataType": "String", "StringValue": reason}} if reason else {}
    return {"Body": body, "MessageAttributes": attributes}


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the dead-letter queue holds."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(queues, "take", lambda *_: iter(found))
    return found


EXPECTED = {"a": "total", "b": ""}


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        ([("1", "total"), ("2", "")], True),
        ([("1", "total")], False),  # one is missing
        ([("1", "currency"), ("2", "")], False),  # another reason
        ([("1", "total"), ("2", ""), ("3", "")], False),  # one too many
        ([("1 ", "total"), ("2", "")], False),  # not byte for byte
    ],
)
def test_dead_letters_are_compared_byte_for_byte_with_their_reasons_and_booked(
    letters: list[dict[str, Any]], found: list[tuple[str, str]], *, holds: bool
) -> None:
    drive = driver()
    drive.sender.sent = {b"1": "a", b"2": "b"}
    letters += [letter(*one) for one in found]
    drive.dead_letters("kept", EXPECTED, drive.sent_body, "DeadLetterQueueUrl")
    assert (drive.report.failures == []) is holds
    assert drive.ledger.dead_lettered.total() == len(found)


def test_a_dead_letter_of_lambda_is_known_by_its_content(letters: list[dict[str, Any]]) -> None:
    drive = driver()
    drive.sender.sent = {b'{"a": 1, "b": [2]}': "a", b"not JSON": "b"}
    letters += [letter('{"b":[2],"a":1}', "total"), letter("not JSON", "")]
    drive.dead_letters("kept", EXPECTED, drive.sent_content, "DeadLetterQueueUrl")
    assert drive.report.failures == []


def test_what_takes_its_time_to_come_true_is_green_when_it_does() -> None:
    drive, looks = driver(patience=5), itertools.count()
    drive.eventually("it comes", lambda: next(looks) == 2)
    assert drive.report.failures == []


def test_what_never_comes_true_is_red_and_the_scenario_goes_on() -> None:
    drive = driver(patience=0.01)
    drive.eventually("it comes", lambda: False)
    assert drive.report.failures == ["it comes"]


def test_a_wait_in_vain_says_what_was_waited_for() -> None:
    with pytest.raises(TimeoutError, match="Waited 0 s until the orders are stored: in vain"):
        driver().wait("the orders are stored", lambda: False, seconds=0)


def test_too_few_messages_are_returned_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "backlog", lambda *_: 2)
    assert driver().wait_for_messages("they are there", "QueueUrl", 3, seconds=0) == 2
    assert driver().wait_for_messages("they are there", "QueueUrl", 2) == 2


class Lambda:
    """Answers an invocation, and keeps its payload."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.payload = answer, dict[str, Any]()

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        self.payload = json.loads(arguments["Payload"])
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())}


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ({"batchItemFailures": []}, True),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, False),
        ({"errorType": "BatchProcessingError"}, False),
    ],
)
def test_a_redelivered_batch_must_be_acknowledged_as_a_whole(answer: Any, *, holds: bool) -> None:
    client = Lambda(answer)
    drive = driver(Stack(lambda_=client))
    drive.redeliver("FunctionName", ["é".encode(), b"2"])
    assert [record["body"] for record in client.payload["Records"]] == ["é", "2"]
    assert (drive.report.failures == []) is holds


def test_what_a_target_executes_is_not_called_unproven() -> None:
    gaps = (("sqs-redrive-task", "redrive", "a script"), ("", "alarms", "test_construct"))
    for executes, expected in (
        (True, ["alarms (test_construct)"]),
        (False, ["redrive (a script)", "alarms (test_construct)"]),
    ):
        drive = driver(Stack(executes))
        drive.not_proven(*gaps)
        assert drive.report.not_proven_here == expected


def test_dead_letters_are_redriven_by_sqs_where_it_can_and_by_hand_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queues, "start_redrive", lambda _, *urls: calls.append(("sqs", *urls)))
    monkeypatch.setattr(queues, "move_back", lambda _, *urls: calls.append(("hand", *urls)))
    for executes in (True, False):
        drive = driver(Stack(executes))
        drive.redrive("DeadLetterQueueUrl", "QueueUrl")
        assert bool(drive.report.not_proven_here) is not executes
    assert calls == [("sqs", "dlq"), ("hand", "dlq", "queue")]


def test_a_record_of_failure_is_as_lambda_writes_it() -> None:
    record = json.loads(driver().failure_record("FunctionName", {"a": 1}, "EventAgeExceeded"))
    assert record["requestPayload"] == {"a": 1}
    context = record["requestContext"]
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:function:$LATEST"
    assert (context["functionArn"], context["condition"]) == (arn, "EventAgeExceeded")
