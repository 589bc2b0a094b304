"""The sender books the last answer of each copy, whatever the way in."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from serverless_patterns.sandbox.report import Report
from serverless_patterns.sandbox.sender import (
    ATTEMPTS,
    Event,
    Reply,
    Sender,
    batch,
    http,
    in_waves,
    invoke,
    single,
)
from serverless_patterns.sandbox.signed_http import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox.sender import Entry


@pytest.fixture
def report() -> Report:
    return Report(Console(file=io.StringIO()))


@pytest.fixture
def sender(report: Report, monkeypatch: pytest.MonkeyPatch) -> Sender:
    monkeypatch.setattr("serverless_patterns.sandbox.sender.time.sleep", lambda _: None)
    return Sender(report, workers=4)


def events(count: int, group: str = "") -> list[Event]:
    return [Event(f"e{number}", f"{number}".encode(), group) for number in range(count)]


def test_an_accepted_and_a_rejected_event_are_booked(sender: Sender, report: Report) -> None:
    def entry(call: Sequence[Event]) -> list[Reply]:
        return [Reply("400" if event.id == "e1" else "") for event in call]

    replies = sender.send("events", entry, events(3))
    assert [reply.refusal for reply in replies] == ["", "400", ""]
    assert report.ledger.sent == {"e0": 1, "e1": 1, "e2": 1}
    assert report.ledger.accepted == {"e0": 1, "e2": 1}
    assert report.ledger.refused == {"400": 1}
    assert sender.sent[b"1"] == "e1"
    assert sender.first_sent.keys() == {"e0", "e1", "e2"}


def test_only_what_may_be_sent_again_is_sent_again_and_booked_once(
    sender: Sender, report: Report
) -> None:
    calls: list[list[str]] = []

    def entry(call: Sequence[Event]) -> list[Reply]:
        calls.append([event.id for event in call])
        throttled = len(calls) < 3
        return [Reply("429", again=True) if throttled and e.id == "e1" else Reply() for e in call]

    sender.send("events", entry, events(3), batch=3)
    assert calls == [["e0", "e1", "e2"], ["e1"], ["e1"]]
    assert report.ledger.sent == report.ledger.accepted == {"e0": 1, "e1": 1, "e2": 1}


def test_what_is_throttled_to_the_end_is_booked_as_rejected(sender: Sender, report: Report) -> None:
    calls: list[int] = []

    def entry(call: Sequence[Event]) -> list[Reply]:
        calls.append(1)
        return [Reply("429", again=True) for _ in call]

    sender.send("events", entry, events(1))
    assert len(calls) == ATTEMPTS
    assert report.ledger.refused == {"429": 1}


def test_events_of_a_group_are_sent_one_after_the_other_and_others_side_by_side(
    sender: Sender,
) -> None:
    order: list[str] = []
    both = threading.Barrier(2, timeout=5)  # passes only when two groups are sent at a time

    def entry(call: Sequence[Event]) -> list[Reply]:
        [event] = call
        both.wait()
        order.append(event.id)
        return [Reply()]

    made = [Event(f"{group}{number}", b"", group) for number in range(5) for group in "ab"]
    replies = sender.send("events", entry, made)
    assert len(replies) == 10
    for group in "ab":
        assert [id_ for id_ in order if id_.startswith(group)] == [f"{group}{n}" for n in range(5)]


def test_a_call_takes_no_more_events_than_it_may(sender: Sender) -> None:
    sizes: list[int] = []

    def entry(call: Sequence[Event]) -> list[Reply]:
        sizes.append(len(call))
        return [Reply(value=event.id) for event in call]

    replies = sender.send("events", entry, events(25), batch=10)
    assert sorted(sizes) == [5, 10, 10]
    assert [reply.value for reply in replies] == [f"e{number}" for number in range(25)]


def test_an_event_for_several_subscribers_is_booked_for_each(
    sender: Sender, report: Report
) -> None:
    ids = ("retail: e", "wholesale: e")
    refuse: Entry = lambda call: [Reply("InvalidParameter") for _ in call]  # noqa: E731
    sender.send("events", lambda call: [Reply() for _ in call], [Event("e", b"", deliveries=ids)])
    sender.send("events", refuse, [Event("f", b"", deliveries=["retail: f"])])
    sender.send("events", refuse, [Event("g", b"", deliveries=())])
    assert report.ledger.accepted == {"retail: e": 1, "wholesale: e": 1}
    assert report.ledger.sent.total() == 3


class Http:
    """Answers with one status after the other, and keeps what was asked."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.asked = list(statuses), list[tuple[Any, ...]]()

    def post(self, url: str, body: bytes, headers: dict[str, str], *, signed: bool) -> Answer:
        self.asked.append((url, body, headers, signed))
        return Answer(self.statuses.pop(0), {}, b"", 0.001)


class Stack(dict[str, str]):
    """A stack of outputs, with the client that a test gives it."""

    def __init__(self, client: Any = None, http: Any = None) -> None:
        super().__init__(ApiUrl="https://api/prod/", FunctionName="function")
        self.http, self._client = http, client

    def client(self, _: str) -> Any:
        return self._client


def test_http_sends_again_what_was_throttled_or_failed(sender: Sender, report: Report) -> None:
    api = Http(429, 503, 202)
    extra = {"path": "orders", "headers": {"Idempotency-Key": "k"}, "signed": False}
    stack: Any = Stack(http=api)
    [reply] = sender.send("events", http(stack, "ApiUrl"), [Event("e", b"{}", extra=extra)])
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    assert api.asked == [("https://api/prod/orders", b"{}", headers, False)] * 3
    assert reply.value.status == 202
    assert report.ledger.accepted == {"e": 1}


@pytest.mark.parametrize("status", [200, 400, 403, 422])
def test_http_accepts_202_and_nothing_else(sender: Sender, report: Report, status: int) -> None:
    stack: Any = Stack(http=Http(status))
    sender.send("events", http(stack, "ApiUrl"), [Event("e", b"{}", extra={"path": "orders"})])
    assert report.ledger.refused == {str(status): 1}
    assert report.ledger.accepted == {}


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
    def operation(**_: Any) -> None:
        raise raised

    [reply] = single(operation, lambda _: {})(events(1))
    assert (reply.refusal, reply.again) == (raised.response["Error"]["Code"], again)


def test_a_function_is_invoked_asynchronously_with_the_body() -> None:
    class Lambda:
        asked: dict[str, Any]

        def invoke(self, **arguments: Any) -> str:
            self.asked = arguments
            return "answer"

    client = Lambda()
    stack: Any = Stack(client)
    [reply] = invoke(stack, "FunctionName")([Event("e", b"{}")])
    assert client.asked == {
        "FunctionName": "function",
        "InvocationType": "Event",
        "Payload": b"{}",
    }
    assert reply == Reply(value="answer")


def test_failed_entries_of_a_batch_are_sent_again_unless_the_sender_is_at_fault(
    sender: Sender, report: Report
) -> None:
    asked: list[list[str]] = []

    def send_message_batch(**request: Any) -> dict[str, Any]:
        assert request["QueueUrl"] == "queue"
        bodies = [entry["MessageBody"] for entry in request["Entries"]]
        asked.append(bodies)
        codes = {"1": ("TooLong", True), "2": ("InternalError", len(asked) > 1)}
        failed = [
            {"Id": entry["Id"], "Code": codes[body][0], "SenderFault": codes[body][1]}
            for entry, body in zip(request["Entries"], bodies, strict=True)
            if body in codes and not (body == "2" and len(asked) > 1)
        ]
        return {"Failed": failed}

    entry = batch(
        send_message_batch, "Entries", lambda e: {"MessageBody": e.body.decode()}, QueueUrl="queue"
    )
    sender.send("events", entry, events(3), batch=10)
    assert asked == [["0", "1", "2"], ["2"]]
    assert report.ledger.refused == {"TooLong": 1}
    assert report.ledger.accepted == {"e0": 1, "e2": 1}


def test_a_wave_is_waited_for_before_the_next(sender: Sender) -> None:
    log: list[str] = []

    def entry(call: Sequence[Event]) -> list[Reply]:
        log.append(call[0].id)
        return [Reply()]

    waves = in_waves(entry, lambda wave: log.append(f"wait for {len(wave)}"))
    sender.send("events", waves, events(3, group="in order"), batch=2)
    assert log == ["e0", "e1", "wait for 2", "e2", "wait for 1"]
