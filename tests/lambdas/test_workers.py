"""What a worker promises: its job stays hidden while it lives, and no longer."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import workers
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import STORED, Outcome, RefusedError
from serverless_patterns.lambdas.foundation.visibility import LONGEST_SECONDS, Backoff
from tests import moto_cloud
from tests.moto_cloud import UNREACHABLE, Cloud, client, client_error, fixture, record

from . import signals

if TYPE_CHECKING:
    from collections.abc import Callable

cloud = fixture(moto_cloud.cloud)
DELAYS = Backoff(first=30, factor=2, longest=3600)
HIDE = "ChangeMessageVisibility"
WANTED = {"job_id": "job-1", "supplier": "Bosch", "minutes": 2}
TOLD = {
    "QUEUE_URL": "url",
    "HIDDEN_SECONDS": "60",
    "LONGEST_SECONDS": "3600",
    "BACKOFF": '{"first": 30, "factor": 2, "longest": 3600}',
}


def settings(url: str = "", hidden: int = 60, longest: int = 3600) -> workers.Settings:
    return workers.Settings(url, hidden, longest, DELAYS)


def test_the_environment_of_the_construct_is_all_a_worker_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)
    assert workers.Settings.of_environment() == settings("url")


def job(of: workers.Settings | None = None, body: Any = WANTED, receives: int = 1) -> workers.Job:
    """Return a job that was received at the second 0."""
    message = Message.of(record(body, receive_count=receives))
    return workers.Job(message, of or settings(), 0.0, threading.Event())


def asked(cloud: Cloud) -> list[int]:
    """Return for how many seconds SQS was asked to hide the message, call by call."""
    return [json.loads(body)["VisibilityTimeout"] for name, body in cloud.requests if name == HIDE]


def sent(cloud: Cloud, *bodies: Any) -> str:
    """Send messages to a queue of their own; return its URL."""
    sqs = client("sqs")
    url: str = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
    return url


def left(url: str) -> Counter[str]:
    """Return how many messages a queue shows, and hides."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return +Counter({"shown": int(found[names[0]]), "hidden": int(found[names[1]])})


def run(cloud: Cloud, work: Callable[[workers.Job], Outcome], *bodies: Any) -> Counter[str]:
    """Let a worker do the first job of a queue; return what is left there."""
    url, stop = sent(cloud, *bodies), threading.Event()

    def once(one: workers.Job) -> Outcome:
        try:
            return work(one)
        finally:
            stop.set()

    workers.run(once, settings(url), stop)
    return left(url)


# Heartbeats


@pytest.mark.parametrize("died_after", [0, 1, 59, 60, 1_234, 2_400])
def test_a_job_of_forty_minutes_is_never_shown_while_its_worker_lives_and_soon_after_it_dies(
    cloud: Cloud, died_after: int
) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one, shown_at = job(), 60
    for now in range(20, died_after + 1, 20):
        assert one.beat(now)
        assert now < shown_at
        shown_at = now + asked(cloud)[-1]
    assert died_after < shown_at <= died_after + 60


def test_no_heartbeat_asks_for_more_than_twelve_hours_since_the_receive(cloud: Cloud) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one, now = job(settings(longest=LONGEST_SECONDS)), 0
    while one.beat(now := now + 20):
        (last,) = asked(cloud)
        assert now + last <= LONGEST_SECONDS
        cloud.requests.clear()
    assert now == now - 20 + last == LONGEST_SECONDS


def test_a_job_that_is_hung_is_let_go(cloud: Cloud) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one = job(settings(longest=100))
    assert [one.beat(now) for now in (60, 80, 99, 99.5)] == [True, True, True, False]
    assert asked(cloud) == [40, 20, 1]


def test_two_heartbeats_may_fail_but_no_job_goes_on_once_its_message_is_shown(
    cloud: Cloud,
) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one = job()
    assert one.beat(20)
    cloud.fail(HIDE, UNREACHABLE, times=3)
    assert [one.beat(now) for now in (40, 60, 80)] == [True, True, False]


@pytest.mark.parametrize("code", sorted(workers.GONE))
def test_a_message_that_another_worker_has_is_not_worked_on(cloud: Cloud, code: str) -> None:
    cloud.fail(HIDE, client_error(code))
    assert not job().beat(20)


def test_heartbeats_go_out_while_a_job_runs_and_end_with_it(cloud: Cloud) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one, beats = job(settings(hidden=3)), threading.Event()
    threads = threading.active_count()

    def beat(_: float) -> bool:
        beats.set()
        return True

    cloud.monkeypatch.setattr(one, "beat", beat)
    with one.hidden():
        assert beats.wait(10)
    assert threading.active_count() == threads


def test_a_job_whose_message_is_lost_is_stopped_at_its_next_step_and_never_shown_by_it(
    cloud: Cloud,
) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one = job()
    one.gone.set()
    workers.do(lambda _: STORED, one)
    assert asked(cloud) == []
    assert cloud.log_lines("Done")[0]["status"] == "postponed"


# Jobs


def test_a_job_that_is_done_is_deleted(cloud: Cloud) -> None:
    assert run(cloud, lambda _: STORED, WANTED) == {}


def test_a_job_that_fails_is_hidden_for_its_delay(cloud: Cloud) -> None:
    def fails(_: workers.Job) -> Outcome:
        raise OSError("the supplier hangs up")

    assert run(cloud, fails, WANTED) == {"hidden": 1}
    assert 15 <= asked(cloud)[-1] <= 30
    [done] = cloud.log_lines("Done")
    assert (done["status"], done["reason"]) == ("failed", "OSError")


def test_the_delay_of_a_job_that_fails_late_ends_within_the_twelve_hours(cloud: Cloud) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {})
    one = job(settings(longest=LONGEST_SECONDS), receives=9)
    cloud.monkeypatch.setattr(time, "monotonic", lambda: LONGEST_SECONDS - 100.5)
    workers._let_go(one, Outcome.failed("Timeout"))
    assert asked(cloud) == [100]


def test_a_job_that_no_retry_can_fix_is_kept_with_its_reason(cloud: Cloud) -> None:
    def refuses(_: workers.Job) -> Outcome:
        raise RefusedError("field", "wrong.")

    assert run(cloud, refuses, {"job_id": 1}) == {}
    assert cloud.reasons() == {"field": 1}


def test_a_job_that_the_dead_letter_queue_does_not_take_is_attempted_again(cloud: Cloud) -> None:
    def refuses(_: workers.Job) -> Outcome:
        cloud.fail("SendMessageBatch", UNREACHABLE, times=9)
        raise RefusedError("field", "wrong.")

    assert run(cloud, refuses, WANTED) == {"hidden": 1}


def test_a_worker_that_is_told_to_end_shows_its_job_at_once(cloud: Cloud) -> None:
    def told(one: workers.Job) -> Outcome:
        one.stop.set()
        one.check()
        return STORED

    assert run(cloud, told, WANTED) == {"shown": 1}


def test_what_a_worker_does_is_logged_and_so_is_a_message_that_it_cannot_delete(
    cloud: Cloud,
) -> None:
    cloud.fail("DeleteMessage", UNREACHABLE)
    assert run(cloud, lambda _: STORED, WANTED) == {"hidden": 1}
    begun, done, not_let_go = cloud.log_lines()
    id_ = begun["message_id"]
    assert (begun["message"], begun["receives"], begun["pid"]) == ("Job", 1, os.getpid())
    assert (done["message"], done["message_id"], done["status"]) == ("Done", id_, "stored")
    assert (not_let_go["message"], not_let_go["message_id"]) == ("NotLetGo", id_)
    assert (not_let_go["level"], not_let_go["reason"]) == ("WARNING", "EndpointConnectionError")


def test_a_message_is_read_as_lambda_would_deliver_it() -> None:
    attributes = {
        "Text": {"DataType": "String", "StringValue": "é"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00"},
    }
    received = {
        "MessageId": "id", "Body": "{}", "ReceiptHandle": "handle",
        "Attributes": {"SentTimestamp": "1"}, "MessageAttributes": attributes,
    }  # fmt: skip
    assert workers.record_of(received) == {
        "messageId": "id",
        "body": "{}",
        "receiptHandle": "handle",
        "attributes": {"SentTimestamp": "1"},
        "messageAttributes": {
            "Text": {"dataType": "String", "stringValue": "é", "binaryValue": ""},
            "Bytes": {"dataType": "Binary", "stringValue": None, "binaryValue": "AA=="},
        },
    }


@pytest.mark.parametrize("number", signals.ENDS)
def test_a_worker_ends_when_its_container_is_told_to(cloud: Cloud, number: signal.Signals) -> None:
    for name, value in TOLD.items():
        cloud.monkeypatch.setenv(name, value)
    url = sent(cloud, WANTED)
    cloud.monkeypatch.setenv("QUEUE_URL", url)

    def told(one: workers.Job) -> Outcome:
        signal.raise_signal(number)
        one.check()
        return STORED

    with signals.kept():
        workers.main(told)
    assert left(url) == {"shown": 1}


def test_a_queue_that_cannot_be_reached_is_asked_again(cloud: Cloud) -> None:
    cloud.monkeypatch.setattr(workers, "PAUSE", 0)
    cloud.fail("ReceiveMessage", UNREACHABLE)
    assert run(cloud, lambda _: STORED, WANTED) == {}
    assert cloud.log_lines("NotReceived")
