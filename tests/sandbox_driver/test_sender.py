"""The sender books the last answer of each copy, whatever the way in."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, call

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.sandbox.sender import (
    ATTEMPTS,
    Event,
    Reply,
    batch,
    http,
    in_waves,
    invoke,
    single,
)
from serverless_patterns.sandbox.signed_http import Answer

from .fakes import Stack, driver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox.driver import Driver
    from serverless_patterns.sandbox.sender import Entry


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """The driver whose sender sends, and whose ledger it books in."""
    monkeypatch.setattr("serverless_patterns.sandbox.sender.time.sleep", lambda _: None)
    return driver(workers=4)


def events(count: int, group: str = "") -> list[Event]:
    return [Event(f"e{number}", f"{number}".encode(), group) for number in range(count)]


def test_an_accepted_and_a_rejected_event_are_booked(drive: Driver) -> None:
    entry = Mock(return_value=[Reply(), Reply("400"), Reply()])
    replies = drive.send("events", entry, events(3), batch=3)
    assert [reply.refusal for reply in replies] == ["", "400", ""]
    assert drive.ledger.sent == {"e0": 1, "e1": 1, "e2": 1}
    assert drive.ledger.accepted == {"e0": 1, "e2": 1}
    assert drive.ledger.refused == {"400": 1}
    assert drive.sender.sent[b"1"] == "e1"
    assert drive.sender.first_sent.keys() == {"e0", "e1", "e2"}


def test_only_what_may_be_sent_again_is_sent_again_and_booked_once(drive: Driver) -> None:
    throttled, made = Reply("429", again=True), events(3)
    entry = Mock(side_effect=[[Reply(), throttled, Reply()], [throttled], [Reply()]])
    drive.send("events", entry, made, batch=3)
    assert entry.mock_calls == [call(made), call([made[1]]), call([made[1]])]
    assert drive.ledger.sent == drive.ledger.accepted == {"e0": 1, "e1": 1, "e2": 1}


def test_what_is_throttled_to_the_end_is_booked_as_rejected(drive: Driver) -> None:
    entry = Mock(return_value=[Reply("429", again=True)])
    drive.send("events", entry, events(1))
    assert entry.call_count == ATTEMPTS
    assert drive.ledger.refused == {"429": 1}


def test_events_of_a_group_are_sent_one_after_the_other_and_others_side_by_side(
    drive: Driver,
) -> None:
    order: list[str] = []
    both = threading.Barrier(2, timeout=60)  # passes only when two groups are sent at a time

    def entry(call: Sequence[Event]) -> list[Reply]:
        [event] = call
        both.wait()
        order.append(event.id)
        return [Reply()]

    made = [Event(f"{group}{number}", b"", group) for number in range(5) for group in "ab"]
    replies = drive.send("events", entry, made)
    assert len(replies) == 10
    for group in "ab":
        assert [id_ for id_ in order if id_.startswith(group)] == [f"{group}{n}" for n in range(5)]


def test_a_call_takes_no_more_events_than_it_may_and_replies_keep_their_order(
    drive: Driver,
) -> None:
    entry = Mock(side_effect=lambda call: [Reply(value=event.id) for event in call])
    replies = drive.send("events", entry, events(25), batch=10)
    assert sorted(len(asked.args[0]) for asked in entry.mock_calls) == [5, 10, 10]
    assert [reply.value for reply in replies] == [f"e{number}" for number in range(25)]


def test_an_event_for_several_subscribers_is_booked_for_each(drive: Driver) -> None:
    ids = ("retail: e", "wholesale: e")
    refuse: Entry = lambda call: [Reply("InvalidParameter") for _ in call]  # noqa: E731
    drive.send("events", lambda call: [Reply() for _ in call], [Event("e", b"", deliveries=ids)])
    drive.send("events", refuse, [Event("f", b"", deliveries=["retail: f"])])
    drive.send("events", refuse, [Event("g", b"", deliveries=())])
    assert drive.ledger.accepted == {"retail: e": 1, "wholesale: e": 1}
    assert drive.ledger.sent.total() == 3


def api(*statuses: int) -> Any:
    """A stack whose API answers with one status after the other."""
    answers = [Answer(status, {}, b"", 0.001) for status in statuses]
    return Stack(http=Mock(post=Mock(side_effect=answers)))


def test_http_sends_again_what_was_throttled_or_failed(drive: Driver) -> None:
    stack = api(429, 503, 202)
    extra = {"path": "orders", "headers": {"Idempotency-Key": "k"}, "signed": False}
    [reply] = drive.send("events", http(stack, "ApiUrl"), [Event("e", b"{}", extra=extra)])
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    asked = call("https://api/prod/orders", b"{}", headers, signed=False)
    assert stack.http.post.mock_calls == [asked] * 3
    assert reply.value.status == 202
    assert drive.ledger.accepted == {"e": 1}


@pytest.mark.parametrize("status", [200, 400, 403, 422])
def test_http_accepts_202_and_nothing_else(drive: Driver, status: int) -> None:
    event = Event("e", b"{}", extra={"path": "orders"})
    drive.send("events", http(api(status), "ApiUrl"), [event])
    assert drive.ledger.refused == {str(status): 1}
    assert drive.ledger.accepted == {}


def error(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Invoke")


@pytest.mark.parametrize(
    ("raised", "again"),
    [
        (error("TooManyRequestsException", 429), True),
        (error("ServiceException", 500), True),
        (error("InvalidRequestContentException", 400), False),
    ],
)
def test_an_error_of_an_operation_refuses_and_may_be_sent_again_if_it_is_not_ours(
    raised: ClientError, *, again: bool
) -> None:
    [reply] = single(Mock(side_effect=raised), lambda _: {})(events(1))
    assert (reply.refusal, reply.again) == (raised.response["Error"]["Code"], again)


def test_a_function_is_invoked_asynchronously_with_the_body() -> None:
    client = Mock()
    stack: Any = Stack(client)
    [reply] = invoke(stack, "FunctionName")([Event("e", b"{}")])
    client.invoke.assert_called_once_with(
        FunctionName="function", InvocationType="Event", Payload=b"{}"
    )
    assert reply == Reply(value=client.invoke.return_value)


def test_failed_entries_of_a_batch_are_sent_again_unless_the_sender_is_at_fault(
    drive: Driver,
) -> None:
    failed = [
        {"Id": "1", "Code": "TooLong", "SenderFault": True},
        {"Id": "2", "Code": "InternalError", "SenderFault": False},
    ]
    send = Mock(side_effect=[{"Failed": failed}, {}])
    entry = batch(send, "Entries", lambda e: {"MessageBody": e.body.decode()}, QueueUrl="queue")
    drive.send("events", entry, events(3), batch=10)
    first = [{"Id": str(number), "MessageBody": str(number)} for number in range(3)]
    again = [{"Id": "0", "MessageBody": "2"}]
    asked = [call(QueueUrl="queue", Entries=entries) for entries in (first, again)]
    assert send.mock_calls == asked
    assert drive.ledger.refused == {"TooLong": 1}
    assert drive.ledger.accepted == {"e0": 1, "e2": 1}


def test_a_wave_is_waited_for_before_the_next(drive: Driver) -> None:
    log: list[str] = []

    def entry(call: Sequence[Event]) -> list[Reply]:
        log.append(call[0].id)
        return [Reply()]

    waves = in_waves(entry, lambda wave: log.append(f"wait for {len(wave)}"))
    drive.send("events", waves, events(3, group="in order"), batch=2)
    assert log == ["e0", "e1", "wait for 2", "e2", "wait for 1"]
