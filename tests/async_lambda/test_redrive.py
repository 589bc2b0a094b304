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
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.patterns.async_lambda import records, redrive, sources
from serverless_patterns.patterns.async_lambda.records import Letter, UnreadableError
from serverless_patterns.patterns.async_lambda.redrive import Bucket, Queue, Redrive

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION = "invoices"
ARN = f"arn:aws:lambda:eu-central-1:123456789012:function:{FUNCTION}"
TIMEOUT = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"}
AWAY = {"errorType": "StoreError", "errorMessage": "ResourceNotFoundException"}


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


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def sqs(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sources, "POLL_SECONDS", 0)  # moto has one server, and waits for nothing
    return boto3.client("sqs")


def queue(sqs: Any, name: str = "failures") -> str:
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url


def send(sqs: Any, url: str, body: Any, **attributes: str) -> None:
    sqs.send_message(
        QueueUrl=url,
        MessageBody=body if isinstance(body, str) else json.dumps(body),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )


def visible(sqs: Any, url: str) -> int:
    attributes = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def run(function: Function, *sources: Any, **options: Any) -> redrive.Report:
    time.sleep(0.002)  # what was sent just now is older than the run
    redriving = Redrive(FUNCTION, function, **{"rate": 10_000.0} | options)
    return redriving.run(sources)


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")


# What is read


def test_the_event_of_a_record_is_taken_byte_for_byte() -> None:
    event = '{ "big": 12345678901234567890.10, "e": 1.0E400, "é": "\\u00e9" ,"requestPayload":{}}'
    body = json.dumps(record()).replace('{"order": 1}', event)
    assert records.read(letter(body)).payload == event.encode()


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


def test_every_record_is_sent_again_and_deleted(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(25):
        send(sqs, url, record(number=number))
    report = run(function, Queue(sqs, url))
    assert sorted(json.loads(payload)["order"] for payload in function.accepted) == list(range(25))
    assert (report.found, report.sent_again, report.good) == (25, 25, True)
    assert report.errors == {"Sandbox.Timedout": 25}
    assert visible(sqs, url) == 0


@pytest.mark.parametrize(
    "error", [throttled(), EndpointConnectionError(endpoint_url="https://lambda")]
)
def test_nothing_is_deleted_before_its_event_is_accepted(
    sqs: Any, function: Function, error: Exception
) -> None:
    url = queue(sqs)
    for number in range(3):
        send(sqs, url, record(number=number))
    function.refuse[b'{"order": 1}'] = error
    report = run(function, Queue(sqs, url))
    assert (report.sent_again, report.failed.total(), report.good) == (2, 1, False)
    assert visible(sqs, url) == 1


def test_a_copy_of_what_was_not_accepted_stays_too(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    send(sqs, url, record())
    send(sqs, url, record())
    function.refuse[b'{"order": 1}'] = throttled()
    assert run(function, Queue(sqs, url)).sent_again == 0
    assert visible(sqs, url) == 2


def test_a_record_and_its_dead_letter_are_sent_once(sqs: Any, function: Function) -> None:
    failures, letters = queue(sqs), queue(sqs, "letters")
    send(sqs, failures, record(number=1))
    send(sqs, letters, '{"order": 1}', RequestID="request-1", ErrorCode="200")
    send(sqs, letters, '{"order": 2}', RequestID="request-2", ErrorCode="200")
    report = run(function, Queue(sqs, failures), Queue(sqs, letters))
    assert sorted(function.accepted) == [b'{"order": 1}', b'{"order": 2}']
    assert (report.matched, report.sent_again) == (3, 2)
    assert (visible(sqs, failures), visible(sqs, letters)) == (0, 0)


def test_a_dry_run_changes_nothing(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(12):
        send(sqs, url, record(number=number))
    report = run(function, Queue(sqs, url), dry_run=True)
    assert (report.matched, report.sent_again, function.accepted) == (12, 0, [])
    assert visible(sqs, url) == 12


def test_a_filter_leaves_the_others_where_they_are(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(15):
        send(sqs, url, record(number=number, responsePayload=TIMEOUT if number % 3 else AWAY))
    report = run(function, Queue(sqs, url), error=re.compile("ResourceNotFound"))
    assert (report.found, report.matched, report.sent_again) == (15, 5, 5)
    assert report.errors == {"StoreError": 5}
    assert visible(sqs, url) == 10


def test_no_more_than_the_limit_is_sent(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(25):
        send(sqs, url, record(number=number))
    assert run(function, Queue(sqs, url), limit=12).sent_again == 12
    assert visible(sqs, url) == 13


def test_no_more_than_the_rate_is_sent(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(21):
        send(sqs, url, record(number=number))
    started = time.monotonic()
    run(function, Queue(sqs, url), rate=100)
    assert time.monotonic() - started >= 20 / 100


def test_what_fails_again_during_the_run_waits_for_the_next_one(
    sqs: Any, function: Function
) -> None:
    url = queue(sqs)
    send(sqs, url, record())

    def fails_again(payload: bytes) -> None:
        function(payload)
        time.sleep(0.01)
        send(sqs, url, record(number=len(function.accepted) + 1))

    time.sleep(0.002)
    report = Redrive(FUNCTION, fails_again).run([Queue(sqs, url)])
    assert (report.sent_again, report.newer_than_this_run) == (1, 1)
    assert visible(sqs, url) == 1


def test_records_of_another_function_stay(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    other = record()["requestContext"] | {"functionArn": f"{ARN}-2:$LATEST"}
    send(sqs, url, record(requestContext=other))
    report = run(function, Queue(sqs, url))
    assert (report.of_other_functions, function.accepted) == (1, [])
    assert visible(sqs, url) == 1


@pytest.mark.parametrize(
    "name", [FUNCTION, f"{FUNCTION}:live", f"123456789012:function:{FUNCTION}", f"{ARN}:live"]
)
def test_a_function_may_be_named_in_every_way_that_lambda_knows(name: str) -> None:
    assert redrive.function_name(name) == FUNCTION


def test_unreadable_messages_stay_and_are_reported(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    send(sqs, url, "nonsense")
    report = run(function, Queue(sqs, url))
    assert (report.unreadable, report.good) == ({"not JSON": 1}, False)
    assert visible(sqs, url) == 1


def test_what_was_accepted_and_not_deleted_is_reported(
    sqs: Any, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = queue(sqs)
    send(sqs, url, record())
    answer = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    monkeypatch.setattr(sqs, "delete_message_batch", lambda **_: answer)
    report = run(function, Queue(sqs, url))
    assert (report.sent_again, report.not_deleted, report.good) == (1, 1, False)
    assert visible(sqs, url) == 1


def test_a_run_that_is_stopped_lets_others_see_the_rest(sqs: Any, function: Function) -> None:
    url = queue(sqs)
    for number in range(5):
        send(sqs, url, record(number=number))
    function.refuse[b'{"order": 3}'] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run(function, Queue(sqs, url))
    assert visible(sqs, url) == 5


def test_a_hundred_records_cost_a_hundred_and_twenty_one_calls(
    sqs: Any, function: Function
) -> None:
    """One at a time they would cost three hundred: receive, invoke, delete.

    The same for each ten, so a hundred tell; a thousand cost 1,201. moto is slow with so many.
    """
    url = queue(sqs)
    for number in range(100):
        send(sqs, url, record(number=number))
    calls: list[str] = []
    sqs.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    report = run(function, Queue(sqs, url))
    assert Counter(calls) == {"ReceiveMessage": 11, "DeleteMessageBatch": 10}
    assert report.sent_again == len(function.accepted) == 100


def test_records_of_a_bucket_are_sent_again_and_deleted(aws: None, function: Function) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="failures")
    prefix = f"aws/lambda/async/{FUNCTION}/"
    for number in range(12):
        key = f"{prefix}2026/11/21/2026-11-21T07.00.00-{number}"
        body = record(number=number) if number else "nonsense"
        s3.put_object(Bucket="failures", Key=key, Body=json.dumps(body).encode())
    s3.put_object(Bucket="failures", Key="aws/lambda/async/other/1", Body=b"other")
    time.sleep(1.1)  # S3 tells the time in whole seconds
    report = run(function, Bucket(s3, "failures", prefix))
    assert (report.found, report.sent_again, report.unreadable.total()) == (12, 11, 1)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="failures")["Contents"]]
    assert keys == [f"{prefix}2026/11/21/2026-11-21T07.00.00-0", "aws/lambda/async/other/1"]


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
    sqs: Any, function: Function, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    url = queue(sqs)
    send(sqs, url, record())
    monkeypatch.setattr(redrive, "invoker", lambda *_: function)
    time.sleep(0.002)
    file = tmp_path / "report.json"
    arguments = ["--function", FUNCTION, "--queue-url", url]
    assert redrive.main([*arguments, "--dry-run"]) == 0
    assert "Dry run: nothing was changed." in capsys.readouterr().out
    assert redrive.main([*arguments, "--json", str(file)]) == 0
    assert re.search(r" 1  sent again", capsys.readouterr().out)
    assert json.loads(file.read_text())["errors"] == {"Sandbox.Timedout": 1}
    assert function.accepted == [b'{"order": 1}']


def test_the_command_says_so_when_something_is_left(
    sqs: Any, function: Function, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    url = queue(sqs)
    send(sqs, url, "nonsense")
    monkeypatch.setattr(redrive, "invoker", lambda *_: function)
    time.sleep(0.002)
    assert redrive.main(["--function", FUNCTION, "--queue-url", url]) == 1
    assert redrive.main(["--function", FUNCTION, "--queue-url", f"{url}-away"]) == 1
    assert "Stopped: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--function", "f"],
        ["--function", "f", "--queue-url", "u", "--rate", "0"],
        ["--function", "f", "--queue-url", "u", "--rate", "nan"],
        ["--function", "f", "--queue-url", "u", "--limit", "-1"],
        ["--function", "f", "--queue-url", "u", "--error", "("],
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        redrive.main(arguments)
    assert exit_.value.code == 2
