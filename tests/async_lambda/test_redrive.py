"""The promises of the redrive, on moto: what it reads, sends, deletes and reports."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.patterns.async_lambda import records, redrive, sources
from serverless_patterns.patterns.async_lambda.records import Letter, UnreadableError
from serverless_patterns.patterns.async_lambda.redrive import Bucket, Queue, Redrive

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION = "invoices"
ARN = f"arn:aws:lambda:eu-central-1:123456789012:function:{FUNCTION}"
TIMEOUT = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"}
MISSING = {"errorType": "StoreError", "errorMessage": "ResourceNotFoundException"}


def record(event: Any = None, number: int = 1, **changes: Any) -> dict[str, Any]:
    """An invocation record, as AWS documents it."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-21T07:00:00.000Z",
        "requestContext": {
            "requestId": f"request-{number}",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"order": number} if event is None else event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": TIMEOUT,
    } | changes


def letter(body: str, **attributes: str) -> Letter:
    return Letter("id", body, 0.0, attributes)


class Function:
    """Takes events; refuses those that it is told to."""

    def __init__(self) -> None:
        self.accepted: list[bytes] = []
        self.refuse: dict[bytes, Exception] = {}
        self._lock = threading.Lock()

    def __call__(self, payload: bytes) -> None:
        if payload in self.refuse:
            raise self.refuse[payload]
        with self._lock:
            self.accepted.append(payload)


class Failures:
    """A failure queue and a dead-letter queue on moto, and the function that failed."""

    def __init__(self) -> None:
        self.sqs: Any = boto3.client("sqs")
        self.function = Function()
        names = ("failures", "letters")
        self.url, self.letters = (self.sqs.create_queue(QueueName=n)["QueueUrl"] for n in names)

    def fill(self, count: int) -> None:
        """Send invocation records, numbered from 0."""
        for first in range(0, count, 10):
            numbers = range(first, min(first + 10, count))
            entries = [{"Id": str(n), "MessageBody": json.dumps(record(number=n))} for n in numbers]
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def send(self, body: Any, url: str = "", **attributes: str) -> None:
        """Send one message."""
        self.sqs.send_message(
            QueueUrl=url or self.url,
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def run(self, *sources: Any, **options: Any) -> redrive.Report:
        """Redrive the failure queue, or ``sources``."""
        time.sleep(0.002)  # what was sent just now is older than the run
        defaults: dict[str, Any] = {"invoke": self.function, "rate": 10_000.0}
        redriving = Redrive(FUNCTION, **defaults | options)
        return redriving.run(sources or [Queue(self.sqs, self.url)])

    def left(self, url: str = "") -> int:
        """Return how many messages a queue shows."""
        name = "ApproximateNumberOfMessages"
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])


@pytest.fixture
def failures(aws: None, monkeypatch: pytest.MonkeyPatch) -> Failures:
    monkeypatch.setattr(sources, "POLL_SECONDS", 0)  # moto has one server, and waits for nothing
    return Failures()


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")


# What is read


def test_the_event_of_a_record_is_taken_byte_for_byte() -> None:
    event = '{ "big": 12345678901234567890.10, "e": 1.0E400, "é": "\\u00e9" ,"requestPayload":{}}'
    body = json.dumps(record()).replace('{"order": 1}', event)
    assert records.read(letter(body)).payload == event.encode()


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from([None, 0, 2]),
)
def test_any_event_survives_its_record(event: Any, indent: int | None) -> None:
    found = records.read(letter(json.dumps(record() | {"requestPayload": event}, indent=indent)))
    assert json.loads(found.payload) == event


def test_an_error_has_its_type_and_message() -> None:
    found = records.read(letter(json.dumps(record())))
    assert found.error == "Sandbox.Timedout: Task timed out after 3.00 seconds"
    assert (found.request_id, found.function) == ("request-1", f"{ARN}:$LATEST")


@pytest.mark.parametrize("response", [None, "text", {}])
def test_an_event_that_never_ran_has_its_condition_as_the_error(response: Any) -> None:
    context = record()["requestContext"] | {"condition": "EventAgeExceeded"}
    body = json.dumps(record(requestContext=context, responsePayload=response))
    assert records.read(letter(body)).error == "EventAgeExceeded"


def test_a_dead_letter_of_lambda_is_the_event_itself() -> None:
    found = records.read(
        letter("not JSON", RequestID="request-1", ErrorCode="200", ErrorMessage="timed out")
    )
    assert (found.payload, found.error, found.request_id) == (
        b"not JSON",
        "200: timed out",
        "request-1",
    )


def test_a_dead_letter_of_the_handler_has_its_reason() -> None:
    found = records.read(letter("{}", RequestID="1", Reason="total", ReasonDetail="wrong"))
    assert found.error == "total: wrong"


def test_an_event_that_looks_like_a_record_is_not_taken_for_one() -> None:
    body = json.dumps(record({"forged": True}))
    assert records.read(letter(body, RequestID="1")).payload == body.encode()


def test_a_record_behind_a_topic_or_an_event_bus_is_unwrapped() -> None:
    text = json.dumps(record({"n": 1.10}))
    topic = json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": text})
    bus = json.dumps({"source": "lambda", "detail": record({"n": 1.10})})
    for body in (text, topic, bus):
        found = records.read(letter(body))
        assert (found.payload, found.request_id) == (b'{"n": 1.1}', "request-1")


def test_a_dead_letter_behind_a_topic_is_unwrapped() -> None:
    attributes = {"RequestID": {"Type": "String", "Value": "request-1"}}
    body = {"Type": "Notification", "Message": "[1]", "MessageAttributes": attributes}
    found = records.read(letter(json.dumps(body)))
    assert (found.payload, found.request_id) == (b"[1]", "request-1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "neither"),
        ('{"requestContext": {"http": {}}, "requestPayload": 1}', "neither"),
        (
            json.dumps({k: v for k, v in record().items() if k != "requestPayload"}),
            "without its event",
        ),
        (json.dumps(record(requestContext={"condition": "Success"})), "success"),
    ],
)
def test_what_has_no_failed_event_is_unreadable(body: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        records.read(letter(body))


# What is sent and deleted


def test_every_record_is_sent_again_and_deleted(failures: Failures) -> None:
    failures.fill(25)
    report = failures.run()
    sent = sorted(json.loads(payload)["order"] for payload in failures.function.accepted)
    assert sent == list(range(25))
    assert (report.found, report.sent_again, report.good) == (25, 25, True)
    assert report.errors == {"Sandbox.Timedout": 25}
    assert failures.left() == 0


@pytest.mark.parametrize(
    "error", [throttled(), EndpointConnectionError(endpoint_url="https://lambda")]
)
def test_nothing_is_deleted_before_its_event_is_accepted(
    failures: Failures, error: Exception
) -> None:
    failures.fill(3)
    failures.function.refuse[b'{"order": 1}'] = error
    report = failures.run()
    assert (report.sent_again, report.failed.total(), report.good) == (2, 1, False)
    assert failures.left() == 1


def test_a_copy_of_what_was_not_accepted_stays_too(failures: Failures) -> None:
    failures.send(record())
    failures.send(record())
    failures.function.refuse[b'{"order": 1}'] = throttled()
    assert failures.run().sent_again == 0
    assert failures.left() == 2


def test_a_record_and_its_dead_letter_are_sent_once(failures: Failures) -> None:
    failures.send(record(number=1))
    for number in (1, 2):
        body = f'{{"order": {number}}}'
        failures.send(body, failures.letters, RequestID=f"request-{number}", ErrorCode="200")
    queues = [Queue(failures.sqs, url) for url in (failures.url, failures.letters)]
    report = failures.run(*queues)
    assert sorted(failures.function.accepted) == [b'{"order": 1}', b'{"order": 2}']
    assert (report.matched, report.sent_again) == (3, 2)
    assert (failures.left(), failures.left(failures.letters)) == (0, 0)


def test_a_dry_run_changes_nothing(failures: Failures) -> None:
    failures.fill(12)
    report = failures.run(dry_run=True)
    assert (report.matched, report.sent_again, failures.function.accepted) == (12, 0, [])
    assert failures.left() == 12


def test_a_filter_leaves_the_others_where_they_are(failures: Failures) -> None:
    failures.fill(10)
    for number in range(5):
        failures.send(record(number=number, responsePayload=MISSING))
    report = failures.run(error=re.compile("ResourceNotFound"))
    assert (report.found, report.matched, report.sent_again) == (15, 5, 5)
    assert report.errors == {"StoreError": 5}
    assert failures.left() == 10


def test_no_more_than_the_limit_is_sent(failures: Failures) -> None:
    failures.fill(25)
    assert failures.run(limit=12).sent_again == 12
    assert failures.left() == 13


def test_no_more_than_the_rate_is_sent(failures: Failures) -> None:
    failures.fill(21)
    started = time.monotonic()
    failures.run(rate=100)
    assert time.monotonic() - started >= 20 / 100


def test_what_fails_again_during_the_run_waits_for_the_next_one(failures: Failures) -> None:
    failures.fill(1)

    def fails_again(payload: bytes) -> None:
        time.sleep(0.01)
        failures.send(record(number=2))

    report = failures.run(invoke=fails_again)
    assert (report.sent_again, report.newer_than_this_run) == (1, 1)
    assert failures.left() == 1


def test_records_of_another_function_stay(failures: Failures) -> None:
    other = record()["requestContext"] | {"functionArn": f"{ARN}-2:$LATEST"}
    failures.send(record(requestContext=other))
    report = failures.run()
    assert (report.of_other_functions, failures.function.accepted) == (1, [])
    assert failures.left() == 1


@pytest.mark.parametrize(
    "name", [FUNCTION, f"{FUNCTION}:live", f"123456789012:function:{FUNCTION}", f"{ARN}:live"]
)
def test_a_function_may_be_named_in_every_way_that_lambda_knows(name: str) -> None:
    assert redrive.function_name(name) == FUNCTION


def test_unreadable_messages_stay_and_are_reported(failures: Failures) -> None:
    failures.send("nonsense")
    report = failures.run()
    assert (report.unreadable, report.good) == ({"not JSON": 1}, False)
    assert failures.left() == 1


def test_what_was_accepted_and_not_deleted_is_reported(
    failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures.fill(1)
    answer = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    monkeypatch.setattr(failures.sqs, "delete_message_batch", lambda **_: answer)
    report = failures.run()
    assert (report.sent_again, report.not_deleted, report.good) == (1, 1, False)
    assert failures.left() == 1


def test_a_run_that_is_stopped_lets_others_see_the_rest(failures: Failures) -> None:
    failures.fill(5)
    failures.function.refuse[b'{"order": 3}'] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        failures.run()
    assert failures.left() == 5


def test_a_hundred_records_cost_a_hundred_and_twenty_one_calls(failures: Failures) -> None:
    """One at a time they would cost three hundred: receive, invoke, delete.

    The same for each ten, so a hundred tell; a thousand cost 1,201. moto is slow with so many.
    """
    failures.fill(100)
    calls: list[str] = []
    failures.sqs.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    report = failures.run()
    assert Counter(calls) == {"ReceiveMessage": 11, "DeleteMessageBatch": 10}
    assert report.sent_again == len(failures.function.accepted) == 100


def test_records_of_a_bucket_are_sent_again_and_deleted(failures: Failures) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="failures")
    prefix = f"aws/lambda/async/{FUNCTION}/"
    keys = [f"{prefix}2026/11/21/2026-11-21T07.00.00-{number}" for number in range(12)]
    for number, key in enumerate(keys):
        body = json.dumps(record(number=number) if number else "nonsense")
        s3.put_object(Bucket="failures", Key=key, Body=body.encode())
    s3.put_object(Bucket="failures", Key="aws/lambda/async/other/1", Body=b"other")
    time.sleep(1.1)  # S3 tells the time in whole seconds
    report = failures.run(Bucket(s3, "failures", prefix))
    assert (report.found, report.sent_again, report.unreadable.total()) == (12, 11, 1)
    left = [found["Key"] for found in s3.list_objects_v2(Bucket="failures")["Contents"]]
    assert left == [keys[0], "aws/lambda/async/other/1"]


def test_an_event_is_handed_over_asynchronously(aws: None) -> None:
    client = boto3.client("lambda")
    with Stubber(client) as stubber:
        wanted = {"FunctionName": FUNCTION, "InvocationType": "Event", "Payload": b"{}"}
        stubber.add_response("invoke", {"StatusCode": 202}, wanted)
        redrive.invoker(client, FUNCTION)(b"{}")
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(("rate", "seconds"), [(10, 300), (0.05, 600), (0.0001, 43_200)])
def test_a_batch_is_hidden_for_as_long_as_it_takes(rate: float, seconds: int) -> None:
    assert redrive.hiding(rate) == seconds


# The command


def test_the_command_prints_a_report_and_writes_it(
    failures: Failures, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    failures.send(record())
    monkeypatch.setattr(redrive, "invoker", lambda *_: failures.function)
    time.sleep(0.002)
    file = tmp_path / "report.json"
    arguments = ["--function", FUNCTION, "--queue-url", failures.url]
    assert redrive.main([*arguments, "--dry-run"]) == 0
    assert "Dry run: nothing was changed." in capsys.readouterr().out
    assert redrive.main([*arguments, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r" 1  sent again", printed)
    assert re.search(r" 1  errors: Sandbox\.Timedout", printed)
    assert json.loads(file.read_text())["errors"] == {"Sandbox.Timedout": 1}
    assert failures.function.accepted == [b'{"order": 1}']


def test_the_command_says_so_when_something_is_left(
    failures: Failures, capsys: pytest.CaptureFixture[str]
) -> None:
    failures.send("nonsense")
    time.sleep(0.002)
    assert redrive.main(["--function", FUNCTION, "--queue-url", failures.url]) == 1
    assert redrive.main(["--function", FUNCTION, "--queue-url", f"{failures.url}-gone"]) == 1
    assert "Stopped: " in capsys.readouterr().out


GOOD = ["--function", "f", "--queue-url", "u"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--function", "f"],
        [*GOOD, "--rate", "0"],
        [*GOOD, "--rate", "nan"],
        [*GOOD, "--limit", "0"],
        [*GOOD, "--limit", "x"],
        [*GOOD, "--error", "("],
    ],
)
def test_a_wrong_command_line_is_rejected(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        redrive.main(arguments)
    assert exit_.value.code == 2
