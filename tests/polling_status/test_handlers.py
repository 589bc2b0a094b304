"""What the front promises clients, and how the end of a job is reported."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import jobs, statuses
from serverless_patterns.lambdas.foundation.statuses import DONE, FAILED, RUNNING, End
from tests.lambdas.executions import Executions
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE, Cloud, client_error

from .handlers import MACHINE, STATUSES, ask

if TYPE_CHECKING:
    from collections.abc import Callable

    Later = Callable[[float], None]

BODY = json.dumps(order())
JSON = ("Content-Type", "application/json")
STRANGER = {"who": "AROASTRANGER:session"}


def post(cloud: Cloud, job: str = "job-1", body: str = BODY, **named: Any) -> dict[str, Any]:
    return ask(cloud, "POST", "orders", body, Idempotency_Key=job, **named)


def get(cloud: Cloud, job: str = "job-1", **named: Any) -> dict[str, Any]:
    return ask(cloud, "GET", f"orders/{job}", **named)


def said(answer: dict[str, Any]) -> Any:
    return answer["statusCode"], json.loads(answer["body"])


def told(cloud: Cloud, **named: Any) -> Any:
    return json.loads(get(cloud, **named)["body"])


def report(cloud: Cloud, state: str, **end: str) -> None:
    """Write how the job that was accepted last has ended."""
    job = max((it for it in cloud.items(STATUSES) if it["sk"] == "job"), key=lambda it: it["at"])
    assert statuses.put({"": End(f"{job['pk']}-{job['at']}", state, end)}) == {}


@pytest.fixture
def executions(cloud: Cloud) -> Executions:
    cloud.fakes["sfn"] = made = Executions()
    return made


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Stops the front's clock, and sets it so many seconds later."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: sum(now))
    return lambda seconds: now.__setitem__(slice(1, None), [seconds])


def test_an_accepted_job_says_where_its_status_is_and_when_to_ask(cloud: Cloud) -> None:
    headers = (answer := post(cloud))["headers"]
    assert said(answer) == (202, {"id": "job-1", "state": "accepted"})
    assert headers.items() >= {("Location", "orders/job-1"), ("Retry-After", "1"), JSON}
    assert said(get(cloud)) == (200, {"id": "job-1", "state": "accepted"})
    slash = ask(cloud, "POST", "orders/", BODY, Idempotency_Key="job-1")
    assert slash["headers"]["Location"] == "job-1", "relative to orders/"


def test_a_job_without_a_key_gets_an_id_that_nobody_guesses(cloud: Cloud) -> None:
    made = {said(ask(cloud, "POST", "orders", BODY))[1]["id"] for _ in range(2)}
    assert [len(id_) for id_ in made] == [32, 32]


@pytest.mark.parametrize("binary", [False, True])
def test_a_job_is_handed_over_byte_for_byte_with_its_name_after_it_was_written(
    cloud: Cloud, binary: bool
) -> None:
    body = json.dumps(order() | {"weight": 1.5}, indent=3)
    sent = base64.b64encode(body.encode()).decode() if binary else body
    assert post(cloud, body=sent, binary=binary)["statusCode"] == 202
    (letter,) = cloud.letters()
    assert letter["Body"] == body
    (job,) = cloud.items(STATUSES)
    name = letter["MessageAttributes"]["Job"]["StringValue"]
    assert name == f"{job['pk']}-{job['at']}", "which does not say whose it is"
    assert [name for name, _ in cloud.requests] == ["PutItem", "SendMessage"]


@pytest.mark.parametrize("failing", ["PutItem", "SendMessage"])
def test_a_job_that_was_not_written_or_not_handed_over_is_taken_when_it_is_sent_again(
    cloud: Cloud, failing: str
) -> None:
    cloud.fail(failing, UNREACHABLE)
    assert said(post(cloud)) == (503, {"message": "The request was not accepted. Send it again."})
    assert [line["code"] for line in cloud.log_lines("Failed")] == ["EndpointConnectionError"]
    assert cloud.letters() == []
    assert (post(cloud)["statusCode"], len(cloud.letters())) == (202, 1)


def test_another_request_under_a_known_key_is_a_conflict_and_stays_here(cloud: Cloud) -> None:
    post(cloud)
    assert post(cloud, body=json.dumps(order(2)))["statusCode"] == 409
    assert len(cloud.letters()) == 1


@pytest.mark.parametrize("known", [DONE, RUNNING])
def test_a_job_that_runs_or_has_ended_is_not_handed_over_again(cloud: Cloud, known: str) -> None:
    post(cloud)
    report(cloud, known)
    assert said(post(cloud)) == (202, {"id": "job-1", "state": known})
    assert len(cloud.letters()) == 1


@pytest.mark.parametrize("job", ["", "a" * 65, "a b", "é", "a/b"])
def test_a_key_that_no_url_can_have_is_rejected(cloud: Cloud, job: str) -> None:
    assert post(cloud, job)["statusCode"] == 400
    assert get(cloud, job.replace("/", "%2F"))["statusCode"] == 404
    assert not cloud.calls


@pytest.mark.parametrize(
    ("body", "binary"),
    [("", False), ("{", False), ('{"a": 1, "a": 2}', False), ('{"a": NaN}', False),
     ('"\\ud800"', False), ("Iv8i", True)],
)  # fmt: skip
def test_a_body_that_is_no_json_or_has_two_meanings_is_rejected(
    cloud: Cloud, body: str, binary: bool
) -> None:
    status, answer = said(post(cloud, body=body, binary=binary))
    assert (status, bool(answer["message"])) == (400, True)
    assert not cloud.calls


def test_a_client_is_not_told_of_anothers_job_nor_that_there_is_one(cloud: Cloud) -> None:
    post(cloud)
    assert get(cloud, **STRANGER) == get(cloud, "no-such-job", **STRANGER)
    assert said(get(cloud, **STRANGER)) == (404, {"message": "There is no such job."})
    assert post(cloud, body=json.dumps(order(2)), **STRANGER)["statusCode"] == 202, "its own"
    assert get(cloud, who="AROACUSTOMER:another-session")["statusCode"] == 200


def test_who_is_not_known_is_told_nothing(cloud: Cloud) -> None:
    assert {send(cloud, who="")["statusCode"] for send in (post, get)} == {403}
    assert not cloud.calls


def test_a_state_that_the_client_has_seen_is_a_304_that_nobody_else_keeps(cloud: Cloud) -> None:
    cloud.monkeypatch.setenv("CORS_ORIGINS", "*")
    post(cloud)
    first = get(cloud)["headers"]
    assert first["Access-Control-Expose-Headers"] == "ETag,Location,Retry-After"
    for seen in (first["ETag"], f'"other", W/{first["ETag"]}', f'{first["ETag"]},"b"', "*"):
        again = get(cloud, If_None_Match=seen)
        assert (again["statusCode"], again["body"], again["headers"]) == (304, "", first)
    assert first["Cache-Control"] == "private, no-cache"
    report(cloud, DONE, result="7")
    changed = get(cloud, If_None_Match=first["ETag"])
    assert said(changed) == (200, {"id": "job-1", "state": "done", "result": 7})
    assert "Retry-After" not in changed["headers"]


def test_the_longer_a_job_takes_the_later_its_client_asks_and_within_half_a_minute(
    cloud: Cloud, later: Later
) -> None:
    post(cloud)
    for seconds, wait in ((-60, 1), (0, 1), (10, 5), (40, 20), (600, 30)):  # clocks differ
        later(seconds)
        assert get(cloud)["headers"]["Retry-After"] == str(wait)


def test_a_job_that_nobody_finishes_fails_at_its_deadline_and_may_still_be_done(
    cloud: Cloud, later: Later
) -> None:
    post(cloud)
    later(890)
    assert told(cloud)["state"] == "accepted"
    later(900)
    ended = told(cloud)
    later(0)
    assert told(cloud) == ended, "it is written down"
    assert ended == {"id": "job-1", "state": "failed", **jobs.TOO_LATE}
    report(cloud, DONE, result="7")
    assert told(cloud)["state"] == "done"


def test_a_late_or_repeated_report_takes_nothing_back(cloud: Cloud) -> None:
    post(cloud)
    report(cloud, RUNNING)
    assert told(cloud)["state"] == "running"
    report(cloud, DONE, result="7")
    done = get(cloud)
    for late in (FAILED, DONE, RUNNING):
        report(cloud, late, reason="late", result="8")
        assert get(cloud) == done


@pytest.mark.parametrize("work", ["", MACHINE])
def test_a_key_that_is_used_again_after_its_job_expired_is_another_job(
    cloud: Cloud, executions: Executions, later: Later, work: str
) -> None:
    post(cloud, work=work)
    later(900)  # its end is kept for longer
    report(cloud, DONE, result="7")
    later(604_799)
    assert told(cloud, work=work)["state"] == "done"
    later(604_800)
    assert get(cloud, work=work)["statusCode"] == 404, "DynamoDB deletes it later"
    cloud.letters()
    assert post(cloud, body=json.dumps(order(2)), work=work)["statusCode"] == 202
    assert len(executions.started or cloud.letters()) == (2 if work else 1)
    assert told(cloud, work=work)["state"] != "done"
    report(cloud, DONE, result="8")
    assert told(cloud, work=work)["result"] == 8


def test_what_a_customer_sent_is_not_logged(cloud: Cloud) -> None:
    cloud.fail("SendMessage", UNREACHABLE)
    post(cloud)
    get(cloud)
    assert not [word for word in ("customer-7", "AROA", "49.90") if word in cloud.log.getvalue()]


def test_an_execution_is_started_once_under_a_name_that_says_nothing(
    cloud: Cloud, executions: Executions
) -> None:
    assert [post(cloud, work=MACHINE)["statusCode"] for _ in range(2)] == [202, 202]
    ((name, given),) = executions.started.items()
    assert given == BODY
    assert re.fullmatch(r"[0-9a-f-]{1,80}", name)


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("RUNNING", {"state": "running"}),
        ("PENDING_REDRIVE", {"state": "running"}),
        ("SUCCEEDED", {"state": "done", "result": {"a": 1.5}}),
        ("FAILED", {"state": "failed", "reason": "Unknown", "detail": jobs.UNFINISHED}),
        ("TIMED_OUT", {"state": "failed", "reason": "TIMED_OUT"}),
        ("ABORTED", {"state": "failed", "reason": "ABORTED"}),
    ],
)
def test_a_client_is_told_how_an_execution_ended_and_no_cause(
    cloud: Cloud, executions: Executions, status: str, wanted: dict[str, Any]
) -> None:
    more = {"SUCCEEDED": {"output": '{"a": 1.5}'}, "FAILED": {"error": "Unknown", "cause": "Why"}}
    post(cloud, work=MACHINE)
    executions.found = {"status": status, **more.get(status, {})}
    ended = told(cloud, work=MACHINE)
    assert ended.items() >= wanted.items()
    assert "Why" not in json.dumps(ended)
    calls = cloud.calls["DescribeExecution"]
    told(cloud, work=MACHINE)
    assert cloud.calls["DescribeExecution"] - calls == (wanted["state"] != "done")


def test_an_execution_that_is_done_after_all_is_told_so_if_its_client_asks_again(
    cloud: Cloud, executions: Executions, later: Later
) -> None:
    post(cloud, work=MACHINE)
    later(901)
    assert told(cloud, work=MACHINE)["reason"] == "DeadlineExceeded"
    for status in ("FAILED", "RUNNING"):  # and it was redriven
        executions.found = {"status": status}
        assert told(cloud, work=MACHINE)["state"] == "failed"
    executions.found = {"status": "SUCCEEDED", "output": "7"}
    assert told(cloud, work=MACHINE)["result"] == 7


def test_an_execution_that_cannot_be_asked_about_has_not_ended(
    cloud: Cloud, executions: Executions, later: Later
) -> None:
    post(cloud, work=MACHINE)
    executions.found = {"status": "SUCCEEDED"}
    cloud.fail("DescribeExecution", client_error("ThrottlingException"))
    assert told(cloud, work=MACHINE)["state"] == "running"
    cloud.fail("DescribeExecution", client_error("AccessDeniedException"))
    assert get(cloud, work=MACHINE)["statusCode"] == 503
    assert told(cloud, work=MACHINE)["state"] == "done"


@pytest.mark.parametrize(
    ("operation", "code"),
    [("SendMessage", "InvalidParameterValue"), ("SendMessage", "InvalidMessageContents"),
     ("StartExecution", "InvalidExecutionInput"), ("StartExecution", "ValidationException")],
)  # fmt: skip
def test_a_request_that_the_work_never_takes_is_a_422_and_its_job_has_failed(
    cloud: Cloud, executions: Executions, operation: str, code: str
) -> None:
    work = MACHINE if operation == "StartExecution" else ""
    cloud.fail(operation, client_error(code))
    assert post(cloud, work=work)["statusCode"] == 422
    assert told(cloud, work=work)["reason"] == "NotTaken"
