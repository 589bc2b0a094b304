"""The driver's steps check what they promise, and are red when it does not hold."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any
from unittest.mock import Mock

import pytest

from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.sender import Event

from .fakes import driver


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


def test_what_takes_its_time_to_come_true_is_green_when_it_does_and_red_if_it_never_does() -> None:
    drive, looks = driver(patience=0.4), itertools.count()
    drive.eventually("it comes", lambda: next(looks) == 1)
    assert drive.report.failures == []
    drive.eventually("it stays away", lambda: False)
    assert drive.report.failures == ["it stays away"]


def test_a_wait_in_vain_says_what_was_waited_for() -> None:
    with pytest.raises(TimeoutError, match=r"Waited 0 s until the orders are stored, without"):
        driver().wait("the orders are stored", lambda: False, seconds=0)


def test_too_few_messages_are_returned_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "backlog", lambda *_: 2)
    assert driver().wait_for_messages("they are there", "QueueUrl", 3, seconds=0) == 2
    assert driver().wait_for_messages("they are there", "QueueUrl", 2) == 2


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ({"batchItemFailures": []}, True),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, False),
        ({"errorType": "BatchProcessingError"}, False),
    ],
)
def test_a_redelivered_batch_must_be_acknowledged_as_a_whole(answer: Any, *, holds: bool) -> None:
    client = Mock()
    client.invoke.side_effect = lambda **_: {"Payload": io.BytesIO(json.dumps(answer).encode())}
    drive = driver(client)
    drive.redeliver("FunctionName", ["é".encode(), b"2"])
    records = json.loads(client.invoke.call_args.kwargs["Payload"])["Records"]
    assert [record["body"] for record in records] == ["é", "2"]
    assert (drive.report.failures == []) is holds


def test_what_a_target_executes_is_not_called_unproven() -> None:
    gaps = (("sqs-redrive-task", "redrive", "a script"), ("", "alarms", "test_construct"))
    for executes, expected in (
        (True, ["alarms (test_construct)"]),
        (False, ["redrive (a script)", "alarms (test_construct)"]),
    ):
        drive = driver(executes=executes)
        drive.not_proven(*gaps)
        assert drive.report.not_proven_here == expected


def test_dead_letters_are_redriven_by_sqs_where_it_can_and_by_hand_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(queues, "start_redrive", lambda _, *urls: calls.append(("sqs", *urls)))
    monkeypatch.setattr(queues, "move_back", lambda _, *urls: calls.append(("hand", *urls)))
    for executes in (True, False):
        drive = driver(executes=executes)
        drive.redrive("DeadLetterQueueUrl", "QueueUrl")
        assert bool(drive.report.not_proven_here) is not executes
    assert calls == [("sqs", "dlq"), ("hand", "dlq", "queue")]


def test_a_record_of_failure_is_as_lambda_writes_it() -> None:
    record = json.loads(driver().failure_record("FunctionName", {"a": 1}, "EventAgeExceeded"))
    assert record["requestPayload"] == {"a": 1}
    context = record["requestContext"]
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:function:$LATEST"
    assert (context["functionArn"], context["condition"]) == (arn, "EventAgeExceeded")


def test_what_took_effect_before_an_earlier_one_of_its_group_is_out_of_order() -> None:
    drive = driver()
    groups = {"a": "g", "b": "g", "c": "h", "d": "g", "e": "", "f": "g"}
    drive.sender.events = {id_: Event(id_, b"", group) for id_, group in groups.items()}
    drive.in_turn({"a": 3, "b": 1, "c": 0, "d": 2, "e": 0})  # f did not take effect
    assert drive.ledger.out_of_order == {"b": 1, "d": 1}
