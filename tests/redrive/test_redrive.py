"""The promises of the redrive, on moto: what it reads, sends, deletes and reports."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.redrive import records, sources
from serverless_patterns.redrive.run import FILTERED, NEWER, OTHERS, Redrive, Report, hiding
from serverless_patterns.redrive.sources import Bucket, Queue
from serverless_patterns.redrive.ways import ToFunction, function_name
from tests import moto_cloud
from tests.moto_cloud import UNREACHABLE, Cloud, client_error

cloud = moto_cloud.fixture(moto_cloud.cloud)

FUNCTION = "invoices"
ARN = f"arn:aws:lambda:eu-central-1:123456789012:function:{FUNCTION}"
TIMEOUT = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"}
MISSING = {"errorType": "StoreError", "errorMessage": "ResourceNotFoundException"}
TIMED_OUT = "Sandbox.Timedout: Task timed out after 3.00 seconds"


def record(number: int = 1, context: dict[str, str] | None = None, **changes: Any) -> str:
    """An invocation record, as AWS documents it."""
    about = {
        "requestId": f"request-{number}",
        "functionArn": f"{ARN}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    document = {
        "version": "1.0",
        "requestContext": about | (context or {}),
        "requestPayload": {"order": number},
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": TIMEOUT,
    }
    return json.dumps(document | changes)


def test_what_a_rule_could_not_deliver_is_the_whole_event() -> None:
    event = '{"id": "1", "detail-type": "OrderPlaced", "detail": {"total": 1.10}}'
    attributes = {"RULE_ARN": "arn:rule", "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "denied"}
    found = records.read(event, attributes)
    assert found.payload == event.encode()
    assert found.error == "NO_PERMISSIONS: denied"


OF_SCHEDULE = {
    "SCHEDULE_ARN": "arn:schedule", "SCHEDULED_TIME": "2027-01-31T08:00:00Z", "EXECUTION_ID": "e-1",
    "RETRY_ATTEMPTS": "185", "ERROR_CODE": "AccessDenied", "ERROR_MESSAGE": "no", "TARGET_ARN": ARN,
    "IS_PAYLOAD_TRUNCATED": "false",
}  # fmt: skip
TICK = '{"at": "<aws.scheduler.scheduled-time>", "of": "<aws.scheduler.schedule-arn>", "n": 1.10}'
FILLED = '{"at": "2027-01-31T08:00:00Z", "of": "arn:schedule", "n": 1.10}'


@pytest.mark.parametrize(
    ("body", "function"),
    [
        (json.dumps({"FunctionName": ARN, "InvocationType": "Event", "Payload": TICK}), ARN),
        (f'{{"FunctionName": "{ARN}", "Payload": {TICK}}}', ARN),
        (TICK, ""),
        (FILLED, ""),
        ("{no JSON", ""),
    ],
    ids=["request", "object", "input", "filled in", "text"],
)
def test_what_a_schedule_could_not_hand_over_is_its_input_with_the_time_of_the_tick(
    body: str, function: str
) -> None:
    found = records.read(body, OF_SCHEDULE)
    event = body if body.startswith("{no") else FILLED
    assert found == records.FailedEvent(event.encode(), "AccessDenied: no", "e-1", function)


def test_what_scheduler_has_cut_off_is_unreadable() -> None:
    with pytest.raises(records.UnreadableError, match="cut off by Scheduler"):
        records.read(TICK, OF_SCHEDULE | {"IS_PAYLOAD_TRUNCATED": "true"})


class Failures:
    """A failure queue and a dead-letter queue on moto, and the function that failed."""

    def __init__(self) -> None:
        self.sqs: Any = boto3.client("sqs")
        names = ("failures", "letters")
        self.url, self.letters = (self.sqs.create_queue(QueueName=n)["QueueUrl"] for n in names)
        self.accepted: list[bytes] = []
        self.refused: dict[bytes, BaseException] = {}
        self.functions: list[str] = []  # dead-letter queues of other functions
        self.meta = Mock(region_name="eu-central-1")

    def get_paginator(self, operation: str) -> Any:
        """List the functions as Lambda's client does."""
        assert operation == "list_functions"
        name = ["QueueArn"]
        arns = [
            self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=name)["Attributes"]
            for url in self.functions
        ]
        found = [
            {"FunctionName": f"function-{n}", "DeadLetterConfig": {"TargetArn": arn["QueueArn"]}}
            for n, arn in enumerate(arns)
        ]
        return Mock(paginate=lambda: [{"Functions": [{"FunctionName": "plain"}, *found]}])

    def invoke(self, FunctionName: str, InvocationType: str, Payload: bytes) -> None:  # noqa: N803
        """Take an event as Lambda's client does; refuse those in ``refused``."""
        assert (FunctionName, InvocationType) == (FUNCTION, "Event")
        if Payload in self.refused:
            raise self.refused[Payload]
        self.accepted.append(Payload)

    def send(self, *bodies: str, url: str = "", **attributes: str) -> None:
        """Send messages, by default to the failure queue."""
        texts = {name: {"DataType": "String", "StringValue": a} for name, a in attributes.items()}
        for body in bodies:
            self.sqs.send_message(
                QueueUrl=url or self.url, MessageBody=body, MessageAttributes=texts
            )

    def run(self, *sources: Any, place: Any = None, **options: Any) -> Report:
        """Redrive the failure queue, or ``sources``."""
        time.sleep(0.002)  # what was sent just now is older than the run
        run = Redrive(ToFunction(self, FUNCTION, place), **{"rate": 10_000.0} | options)
        return run.run(sources or [Queue(self.sqs, self.url)])

    def left(self, url: str = "") -> int:
        """Return how many messages a queue shows."""
        name = "ApproximateNumberOfMessages"
        answer = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])


@pytest.fixture
def failures(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Failures:
    monkeypatch.setattr(sources, "POLL_SECONDS", 0)  # moto has one server, and waits for nothing
    return Failures()


# What is read


def test_the_event_of_a_record_is_taken_byte_for_byte() -> None:
    event = '{ "big": 12345678901234567890.10, "e": 1.0E400, "é": "\\u00e9" ,"requestPayload":{}}'
    body = record().replace('{"order": 1}', event)
    assert records.read(body, {}).payload == event.encode()


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from([None, 0, 2]),
)
def test_any_event_survives_its_record(event: Any, indent: int | None) -> None:
    body = json.dumps(json.loads(record(requestPayload=event)), indent=indent)
    assert json.loads(records.read(body, {}).payload) == event


AGED = {"condition": "EventAgeExceeded"}
LETTER = {"RequestID": "request-1", "ErrorCode": "200", "ErrorMessage": "timed out"}
IN_TOPIC = {name: {"Type": "String", "Value": value} for name, value in LETTER.items()}
TOPIC = {"Type": "Notification", "TopicArn": "arn"}
FORMS: dict[str, tuple[str, dict[str, str], str, str]] = {  # with the event, and its error
    "record": (record(), {}, '{"order": 1}', TIMED_OUT),
    "record of one that never ran": (
        record(context=AGED, responsePayload=None), {}, '{"order": 1}', "EventAgeExceeded",
    ),
    "record with a text": (
        record(context=AGED, responsePayload="x"), {}, '{"order": 1}', "EventAgeExceeded",
    ),
    "record behind a topic": (
        json.dumps(TOPIC | {"Message": record()}), {}, '{"order": 1}', TIMED_OUT,
    ),
    "record behind an event bus": (
        f'{{"source": "lambda", "detail": {record()}}}', {}, '{"order": 1}', TIMED_OUT,
    ),
    "dead letter of Lambda": ("not JSON", LETTER, "not JSON", "200: timed out"),
    "dead letter of the handler": (
        "{}", LETTER | {"Reason": "total", "ReasonDetail": "wrong"}, "{}", "total: wrong",
    ),
    "dead letter that looks like a record": (record(), LETTER, record(), "200: timed out"),
    "dead letter behind a topic": (
        json.dumps(TOPIC | {"Message": "[1]", "MessageAttributes": IN_TOPIC}), {}, "[1]",
        "200: timed out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_event_is_found_with_its_error_in_every_form(form: str) -> None:
    body, attributes, event, error = FORMS[form]
    found = records.read(body, attributes)
    assert (found.payload.decode(), found.error, found.request_id) == (event, error, "request-1")
    assert found.function == ("" if "letter" in form else f"{ARN}:$LATEST")


UNREADABLE = {
    "": "not JSON",
    "[" * 100_000: "not JSON",
    "[]": "neither",
    '{"requestContext": {"http": {}}, "requestPayload": 1}': "neither",
    record().replace("requestPayload", "nothing"): "without its event",
    record(context={"condition": "Success"}): "success",
    json.dumps({"Type": "Notification", "Message": "m", "MessageAttributes": {"RequestID": 1}}):
        "damaged",
    '{"requestContext": {"condition": "x"}, "requestPayload": "\ud800"}': "damaged",
}  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE, ids=UNREADABLE.values())
def test_what_has_no_failed_event_is_unreadable(body: str) -> None:
    with pytest.raises(records.UnreadableError, match=UNREADABLE[body]):
        records.read(body, {})


# What is sent and deleted


def test_every_record_is_sent_again_and_deleted_in_batches(
    failures: Failures, cloud: Cloud
) -> None:
    """A hundred cost 121 calls: one at a time they would cost 300, to receive, invoke, delete."""
    failures.send(*map(record, range(100)))
    cloud.calls.clear()
    report = failures.run()
    sent = sorted(json.loads(payload)["order"] for payload in failures.accepted)
    assert sent == list(range(100))
    assert cloud.calls == {"ReceiveMessage": 11, "DeleteMessageBatch": 10}
    assert (report.found, report.accepted, report.good) == (100, 100, True)
    assert report.reasons == {"Sandbox.Timedout": 100}
    assert failures.left() == 0


@pytest.mark.parametrize("error", [client_error("TooManyRequestsException"), UNREACHABLE])
def test_nothing_is_deleted_before_its_event_is_accepted(
    failures: Failures, error: Exception
) -> None:
    failures.send(*map(record, (0, 1, 2)), record(1))
    failures.refused[b'{"order": 1}'] = error
    report = failures.run()
    assert (report.accepted, report.kept.total(), report.good) == (2, 2, False)
    assert failures.left() == 2, "a copy of what was not accepted stays too"


def test_a_record_and_its_dead_letter_are_sent_once(failures: Failures) -> None:
    failures.send(record(1))
    for number in (1, 2):
        letter = LETTER | {"RequestID": f"request-{number}"}
        failures.send(f'{{"order": {number}}}', url=failures.letters, **letter)
    queues = [Queue(failures.sqs, url) for url in (failures.url, failures.letters)]
    report = failures.run(*queues)
    assert sorted(failures.accepted) == [b'{"order": 1}', b'{"order": 2}']
    assert (report.matched, report.accepted) == (3, 3)
    assert (failures.left(), failures.left(failures.letters)) == (0, 0)


def test_an_event_with_the_request_id_of_another_one_does_not_take_its_place(
    failures: Failures,
) -> None:
    failures.send(record(1), record(1, requestPayload="theirs"), record(1))
    report = failures.run()
    assert sorted(failures.accepted) == [b'"theirs"', b'{"order": 1}']
    assert (report.matched, report.accepted, failures.left()) == (3, 3, 0)


OTHER = record(context={"functionArn": f"{ARN}-2:$LATEST"})
THEIRS = record(context={"functionArn": ARN.replace("123456789012", "210987654321")})
ELSEWHERE = record(context={"functionArn": ARN.replace("eu-central-1", "eu-north-1")})
HERE = {"place": ("eu-central-1", "123456789012")}


@pytest.mark.parametrize(
    ("bodies", "options", "reported"),
    [
        ([*map(record, range(12))], {"dry_run": True}, {"matched": 12}),
        (
            [record()],
            {"error": re.compile("NotFound")},
            {"matched": 0, "kept": {FILTERED: 1}, "good": True},
        ),
        ([OTHER], {}, {"kept": {OTHERS: 1}, "good": True}),
        ([THEIRS, ELSEWHERE], HERE, {"kept": {OTHERS: 2}, "good": True}),
        (["nonsense"], {}, {"kept": {"not JSON": 1}, "good": False}),
    ],
    ids=["dry run", "filter", "another function", "another place", "unreadable"],
)
def test_what_is_not_to_be_sent_stays_where_it_is(
    failures: Failures, bodies: list[str], options: dict[str, Any], reported: dict[str, Any]
) -> None:
    failures.send(*bodies)
    report = failures.run(**options)
    assert {name: getattr(report, name) for name in reported} == reported
    assert (failures.accepted, report.accepted) == ([], 0)
    assert failures.left() == len(bodies)


def test_a_filter_and_a_limit_leave_the_others_where_they_are(failures: Failures) -> None:
    failures.send(*map(record, range(15)))
    failures.send(*(record(number, responsePayload=MISSING) for number in range(5)))
    report = failures.run(error=re.compile("ResourceNotFound"))
    assert (report.found, report.matched, report.accepted) == (20, 5, 5)
    assert report.reasons == {"StoreError": 5}
    assert failures.left() == 15
    assert failures.run(limit=12).accepted == 12
    assert failures.left() == 3


def test_no_more_than_the_rate_is_sent(failures: Failures) -> None:
    failures.send(*map(record, range(21)))
    started = time.monotonic()
    failures.run(rate=100)
    assert time.monotonic() - started >= 20 / 100


def test_what_fails_again_during_the_run_waits_for_the_next_one(failures: Failures) -> None:
    failures.send(record())
    time.sleep(0.002)
    run = Redrive(ToFunction(failures, FUNCTION))
    time.sleep(0.01)
    failures.send(record(2))
    report = run.run([Queue(failures.sqs, failures.url)])
    assert (report.accepted, report.kept) == (1, {NEWER: 1})
    assert failures.left() == 1


@pytest.mark.parametrize(
    "name", [FUNCTION, f"{FUNCTION}:live", f"123456789012:function:{FUNCTION}", f"{ARN}:live"]
)
def test_a_function_may_be_named_in_every_way_that_lambda_knows(name: str) -> None:
    assert function_name(name) == FUNCTION


@pytest.mark.parametrize("error", [None, client_error("InternalError")])
def test_what_was_accepted_and_not_deleted_is_reported(
    failures: Failures, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    failures.send(record())

    def fails(Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        if error:
            raise error
        return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in Entries]}

    monkeypatch.setattr(failures.sqs, "delete_message_batch", fails)
    report = failures.run()
    assert (report.accepted, report.not_deleted, report.good) == (1, 1, False)
    assert failures.left() == 1


def test_a_run_that_is_stopped_lets_others_see_the_rest(failures: Failures) -> None:
    failures.send(*map(record, range(5)))
    failures.refused[b'{"order": 3}'] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        failures.run()
    assert failures.left() == 5


def test_records_of_a_bucket_are_sent_again_and_deleted(failures: Failures) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="failures")
    prefix = f"aws/lambda/async/{FUNCTION}/"
    keys = [f"{prefix}2026/11/21/2026-11-21T07.00.00-{number}" for number in range(12)]
    for number, key in enumerate(keys):
        s3.put_object(Bucket="failures", Key=key, Body=record(number) if number else b"\xff{")
    s3.put_object(Bucket="failures", Key="aws/lambda/async/other/1", Body=b"other")
    archived = f"{prefix}archived"
    s3.put_object(Bucket="failures", Key=archived, Body=b"{}", StorageClass="GLACIER")
    time.sleep(1.1)  # S3 tells the time in whole seconds
    report = failures.run(Bucket(s3, "failures", prefix))
    assert (report.found, report.accepted) == (13, 11)
    assert report.kept == {"not JSON": 1, "InvalidObjectState": 1}
    left = [found["Key"] for found in s3.list_objects_v2(Bucket="failures")["Contents"]]
    assert left == [keys[0], archived, "aws/lambda/async/other/1"]


@pytest.mark.parametrize(("rate", "seconds"), [(10, 300), (0.05, 600), (0.0001, 43_200)])
def test_a_batch_is_hidden_for_as_long_as_it_takes(rate: float, seconds: int) -> None:
    assert hiding(rate) == seconds
