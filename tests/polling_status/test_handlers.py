"""What the front promises clients, and how the end of a job is reported."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import statuses
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.statuses import DONE, FAILED, RUNNING, End
from serverless_patterns.lambdas.polling_status import logic, orders
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE, Cloud, client_error, ids, record, string

from .handlers import MACHINE, STATUSES, ask

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = json.dumps(order())
STRANGER = {"who": "AROASTRANGER:session"}


def post(cloud: Cloud, job: str = "job-1", body: str = BODY, **named: Any) -> dict[str, Any]:
    return ask(cloud, "POST", "orders", body, Idempotency_Key=job, **named)


def get(cloud: Cloud, job: str = "job-1", **named: Any) -> dict[str, Any]:
    return ask(cloud, "GET", f"orders/{job}", **named)


def said(answer: dict[str, Any]) -> Any:
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None


def state(cloud: Cloud, **named: Any) -> str:
    found: str = said(get(cloud, **named))[1]["state"]
    return found


def report(cloud: Cloud, state: str, **end: str) -> None:
    """Write how the job that was accepted last has ended."""
    job = max((it for it in cloud.items(STATUSES) if it["sk"] == "job"), key=lambda it: it["at"])
    assert statuses.put({"": End(f"{job['pk']}-{job['at']}", state, end)}) == {}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the front's clock say so many seconds more."""
    real = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: real() + seconds)


def test_an_accepted_job_says_where_its_status_is_and_when_to_ask(cloud: Cloud) -> None:
    answer = post(cloud)
    assert said(answer) == (202, {"id": "job-1", "state": "accepted"})
    assert answer["headers"]["Location"] == "orders/job-1"
    assert answer["headers"]["Retry-After"] == "1"
    assert said(get(cloud)) == (200, {"id": "job-1", "state": "accepted"})
    slash = ask(cloud, "POST", "orders/", BODY, Idempotency_Key="job-1")
    assert slash["headers"]["Location"] == "job-1", "relative to orders/"


def test_a_job_without_a_key_gets_an_id_that_nobody_guesses(cloud: Cloud) -> None:
    one, other = (said(ask(cloud, "POST", "orders", BODY))[1]["id"] for _ in range(2))
    assert one != other
    assert len(one) == 32


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
    assert name == f"{job['pk']}-{job['at']}"
    assert "AROA" not in name
    assert [name for name, _ in cloud.requests] == ["PutItem", "SendMessage"]


@pytest.mark.parametrize("failing", ["PutItem", "SendMessage"])
def test_a_job_that_was_not_written_or_not_handed_over_is_taken_when_it_is_sent_again(
    cloud: Cloud, failing: str
) -> None:
    cloud.fail(failing, UNREACHABLE)
    assert post(cloud)["statusCode"] == 503
    assert cloud.letters() == []
    assert post(cloud)["statusCode"] == 202
    assert len(cloud.letters()) == 1


def test_another_request_under_a_known_key_is_a_conflict_and_is_not_handed_over(
    cloud: Cloud,
) -> None:
    post(cloud)
    assert post(cloud, body=json.dumps(order(2)))["statusCode"] == 409
    assert len(cloud.letters()) == 1


@pytest.mark.parametrize("known", [DONE, RUNNING])
def test_a_job_that_runs_or_has_ended_is_not_handed_over_again(cloud: Cloud, known: str) -> None:
    post(cloud)
    cloud.letters()
    report(cloud, known)
    assert said(post(cloud)) == (202, {"id": "job-1", "state": known})
    assert cloud.letters() == []


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
def test_a_body_that_is_no_json_or_can_be_read_in_two_ways_is_rejected(
    cloud: Cloud, body: str, binary: bool
) -> None:
    assert post(cloud, body=body, binary=binary)["statusCode"] == 400
    assert not cloud.calls


def test_a_client_is_not_told_of_anothers_job_nor_that_there_is_one(cloud: Cloud) -> None:
    post(cloud)
    assert said(get(cloud, **STRANGER)) == said(get(cloud, "no-such-job", **STRANGER))
    assert get(cloud, **STRANGER)["statusCode"] == 404
    assert post(cloud, body=json.dumps(order(2)), **STRANGER)["statusCode"] == 202, "its own"
    assert get(cloud, who="AROACUSTOMER:another-session")["statusCode"] == 200


def test_who_is_not_known_is_told_nothing(cloud: Cloud) -> None:
    for method, path in (("POST", "orders"), ("GET", "orders/job-1")):
        assert ask(cloud, method, path, BODY, who="")["statusCode"] == 403
    assert not cloud.calls


@pytest.mark.parametrize(
    ("identity", "authorizer", "owner"),
    [
        ({"caller": "A:s"}, {"claims": {"sub": "u-1"}}, "user:u-1"),
        ({}, {"principalId": "p-1"}, "principal:p-1"),
        ({}, {"principalId": "p-1", "claims": "of a Lambda authorizer"}, "principal:p-1"),
        ({"caller": "A:CognitoIdentityCredentials", "cognitoIdentityId": "i-1"}, {},
         "identity:i-1"),
        ({"caller": "AROA1:session"}, {}, "signer:AROA1"),
        ({"caller": "AIDA1"}, {}, "signer:AIDA1"),
        ({"caller": "123456789012:federated"}, {}, "signer:123456789012:federated"),
        ({"caller": None}, {}, ""),
        (None, None, ""),
    ],
)  # fmt: skip
def test_a_job_belongs_to_whom_the_authorizer_names_else_to_who_signed(
    identity: Any, authorizer: Any, owner: str
) -> None:
    assert logic.owner({"identity": identity, "authorizer": authorizer}) == owner


def test_a_state_that_the_client_has_seen_is_a_304_that_nobody_else_keeps(cloud: Cloud) -> None:
    post(cloud)
    first = get(cloud)["headers"]
    for seen in (first["ETag"], f'"other", W/{first["ETag"]}', "*"):
        again = get(cloud, If_None_Match=seen)
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"] == first
    assert first["Cache-Control"] == "private, no-cache"
    report(cloud, DONE, result="7")
    changed = get(cloud, If_None_Match=first["ETag"])
    assert said(changed) == (200, {"id": "job-1", "state": "done", "result": 7})
    assert "Retry-After" not in changed["headers"]


def test_the_longer_a_job_takes_the_later_its_client_asks_and_within_half_a_minute(
    cloud: Cloud, later: Callable[[float], None]
) -> None:
    post(cloud)
    waits = []
    for seconds in (-60, 0, 10, 40, 600):  # clocks differ
        later(seconds)
        waits.append(int(get(cloud)["headers"]["Retry-After"]))
    assert waits == [1, 1, 5, 20, 30]


def test_a_job_that_nobody_finishes_fails_at_its_deadline_and_may_still_be_done(
    cloud: Cloud, later: Callable[[float], None]
) -> None:
    post(cloud)
    later(898)
    assert state(cloud) == "accepted"
    later(901)
    ended = said(get(cloud))[1]
    assert (ended["state"], ended["reason"]) == ("failed", "DeadlineExceeded")
    later(0)
    assert said(get(cloud))[1] == ended, "it is written down"
    report(cloud, DONE, result="7")
    assert state(cloud) == "done"


def test_a_late_or_repeated_report_takes_nothing_back(cloud: Cloud) -> None:
    post(cloud)
    report(cloud, RUNNING)
    assert state(cloud) == "running"
    report(cloud, DONE, result="7")
    done = get(cloud)
    for late in (FAILED, DONE, RUNNING):
        report(cloud, late, reason="late", result="8")
        assert get(cloud) == done


@pytest.mark.parametrize("work", ["", MACHINE])
def test_a_key_that_is_used_again_after_its_job_expired_is_another_job(
    cloud: Cloud, executions: dict[str, Any], later: Callable[[float], None], work: str
) -> None:
    post(cloud, work=work)
    later(900)  # its end is kept for longer
    report(cloud, DONE, result="7")
    later(604_799)
    assert state(cloud, work=work) == "done"
    later(604_801)
    assert get(cloud, work=work)["statusCode"] == 404, "DynamoDB deletes it later"
    cloud.letters()
    assert post(cloud, body=json.dumps(order(2)), work=work)["statusCode"] == 202
    assert len(executions["started"] or cloud.letters()) == (2 if work else 1)
    assert state(cloud, work=work) != "done"
    report(cloud, DONE, result="8")
    assert said(get(cloud, work=work))[1]["result"] == 8


def test_what_a_customer_sent_is_not_logged(cloud: Cloud) -> None:
    cloud.fail("SendMessage", UNREACHABLE)
    post(cloud)
    get(cloud)
    assert not [word for word in ("customer-7", "AROA", "49.90") if word in cloud.log.getvalue()]


# The status of an execution.


@pytest.fixture
def executions(cloud: Cloud) -> dict[str, Any]:
    """What Step Functions has; ``found`` is what it says of an execution."""
    known: dict[str, Any] = {"started": {}, "found": {"status": "RUNNING"}}

    def states(operation: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation == "DescribeExecution":
            name = sent["executionArn"].rpartition(":")[2]
            if name not in known["started"]:
                return 400, {"__type": "ExecutionDoesNotExist"}
            return 200, {"executionArn": sent["executionArn"], "name": name} | known["found"]
        if sent["name"] in known["started"] and known["found"]["status"] != "RUNNING":
            return 400, {"__type": "ExecutionAlreadyExists"}
        known["started"][sent["name"]] = sent["input"]
        return 200, {"executionArn": "arn", "startDate": 0}

    cloud.fakes["sfn"] = states
    return known


def start(cloud: Cloud) -> dict[str, Any]:
    return post(cloud, work=MACHINE)


def look(cloud: Cloud) -> Any:
    return said(get(cloud, work=MACHINE))[1]


def test_an_execution_is_started_once_under_a_name_that_says_nothing(
    cloud: Cloud, executions: dict[str, Any]
) -> None:
    assert [start(cloud)["statusCode"] for _ in range(2)] == [202, 202]
    ((name, given),) = executions["started"].items()
    assert given == BODY
    assert len(name) <= 80
    assert "job-1" not in name


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"status": "RUNNING"}, {"state": "running"}),
        ({"status": "PENDING_REDRIVE"}, {"state": "running"}),
        ({"status": "SUCCEEDED", "output": '{"a": 1.5}'}, {"state": "done", "result": {"a": 1.5}}),
        ({"status": "FAILED", "error": "Unknown", "cause": "Geheimnis"},
         {"state": "failed", "reason": "Unknown"}),
        ({"status": "TIMED_OUT"}, {"state": "failed", "reason": "TIMED_OUT"}),
        ({"status": "ABORTED"}, {"state": "failed", "reason": "ABORTED"}),
    ],
)  # fmt: skip
def test_a_client_is_told_how_an_execution_ended_and_no_cause(
    cloud: Cloud, executions: dict[str, Any], found: Any, told: dict[str, Any]
) -> None:
    start(cloud)
    executions["found"] = found
    ended = look(cloud)
    assert ended.items() >= told.items()
    assert "Geheimnis" not in json.dumps(ended)
    calls = cloud.calls["DescribeExecution"]
    look(cloud)
    assert cloud.calls["DescribeExecution"] - calls == (told["state"] != "done")


def test_an_execution_that_is_done_after_all_is_told_so_if_its_client_asks_again(
    cloud: Cloud, executions: dict[str, Any], later: Callable[[float], None]
) -> None:
    start(cloud)
    later(901)
    assert look(cloud)["reason"] == "DeadlineExceeded"
    for status in ("FAILED", "RUNNING"):  # and it was redriven
        executions["found"] = {"status": status}
        assert look(cloud)["state"] == "failed"
    executions["found"] = {"status": "SUCCEEDED", "output": "7"}
    assert look(cloud)["result"] == 7


def test_an_execution_that_cannot_be_asked_about_has_not_ended(
    cloud: Cloud, executions: dict[str, Any], later: Callable[[float], None]
) -> None:
    start(cloud)
    executions["found"] = {"status": "SUCCEEDED"}
    cloud.fail("DescribeExecution", client_error("ThrottlingException"))
    assert look(cloud)["state"] == "running"
    cloud.fail("DescribeExecution", client_error("AccessDeniedException"))
    assert get(cloud, work=MACHINE)["statusCode"] == 503
    assert look(cloud)["state"] == "done"


@pytest.mark.parametrize(
    ("operation", "code"),
    [("SendMessage", "InvalidParameterValue"), ("SendMessage", "InvalidMessageContents"),
     ("StartExecution", "InvalidExecutionInput"), ("StartExecution", "ValidationException")],
)  # fmt: skip
def test_a_request_that_the_work_never_takes_is_a_422_and_its_job_has_failed(
    cloud: Cloud, executions: dict[str, Any], operation: str, code: str
) -> None:
    work = {"work": MACHINE} if operation == "StartExecution" else {}
    cloud.fail(operation, client_error(code))
    assert post(cloud, **work)["statusCode"] == 422
    assert said(get(cloud, **work))[1]["reason"] == "NotTaken"


def test_a_page_of_an_origin_that_may_read_answers_can(cloud: Cloud) -> None:
    assert "Access-Control-Allow-Origin" not in post(cloud)["headers"]
    cloud.monkeypatch.setenv("CORS_ORIGINS", "https://shop.example https://desk.example")
    for origin, told in (("https://desk.example", "desk"), ("https://evil.example", "shop")):
        for answer in (get(cloud, Origin=origin), get(cloud, "none", Origin=origin)):
            assert told in answer["headers"]["Access-Control-Allow-Origin"]
            assert "Retry-After" in answer["headers"]["Access-Control-Expose-Headers"]
            assert answer["headers"]["Vary"] == "Origin"


# The consumer's report.


def job(number: int = 1, *, receive_count: int = 1, **changes: Any) -> dict[str, Any]:
    attributes = {"Job": string(f"{logic.key('A', f'job-{number}')}-7")}
    return record(order(number, **changes), attributes=attributes, receive_count=receive_count)


def ends(cloud: Cloud) -> dict[int, Any]:
    """Return how each job has ended, by its number."""
    found = {item["pk"]: item for item in cloud.items(STATUSES)}
    keys = {number: logic.key("A", f"job-{number}") for number in range(9)}
    return {number: found[key] for number, key in keys.items() if key in found}


def test_a_job_ends_as_its_message_does(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, job(1), job(2, total="1.00"), job(1)) == []
    found = ends(cloud)
    assert found[1]["sk"] == "done-7"
    assert json.loads(found[1]["result"]) == {"outcome": "stored"}
    assert (found[2]["sk"], found[2]["reason"]) == ("failed-7", "total")


def test_a_message_that_says_no_job_is_processed_all_the_same(cloud: Cloud) -> None:
    strange = record(order(2), attributes={"Job": string("a job of somebody else's")})
    assert cloud.run(orders.handler, record(order(1)), strange) == []
    assert len(cloud.items()) == 2
    assert cloud.items(STATUSES) == []


def test_a_worker_may_say_that_its_jobs_are_running(cloud: Cloud) -> None:
    statuses.start([Message.of(job(1)), Message.of(record(order(2)))])
    assert ends(cloud)[1]["sk"] == "running-7"
    assert len(cloud.items(STATUSES)) == 1
    cloud.fail("TransactWriteItems", UNREACHABLE)
    statuses.start([Message.of(job(3))])  # and whose is not written is worked on all the same


def test_only_the_last_attempt_of_a_message_ends_its_job(cloud: Cloud) -> None:
    cloud.fail_all_about("ord-1")
    early, last = job(1, receive_count=4), job(1, receive_count=5)
    assert cloud.run(orders.handler, early, job(2)) == ids(early)
    assert 1 not in ends(cloud)
    assert cloud.run(orders.handler, last, job(3)) == ids(last)
    assert ends(cloud)[1]["sk"] == "failed-7"
    assert "Throttling" in ends(cloud)[1]["reason"]


def test_a_job_whose_end_is_not_written_is_delivered_again_and_not_dead_lettered(
    cloud: Cloud,
) -> None:
    cloud.fail_all_about(logic.key("A", "job-2"))
    wrong = job(2, total="1.00")
    assert cloud.run(orders.handler, job(1), wrong) == ids(wrong)
    assert cloud.letters() == []
    cloud.faults.clear()
    assert cloud.run(orders.handler, wrong) == []
    assert (ends(cloud)[2]["sk"], len(cloud.letters())) == ("failed-7", 1)


def test_the_ends_of_a_thousand_jobs_cost_20_calls_and_one_by_one_1000(cloud: Cloud) -> None:
    taken = cloud.answer_writes()
    for batch in range(20):
        assert cloud.run(orders.handler, *(job(50 * batch + n) for n in range(50))) == []
    assert len(taken) == 2_000, "an order and an end each"
    assert cloud.calls["TransactWriteItems"] == 40
    del cloud.fakes["dynamodb"]
    cloud.calls.clear()
    for number in range(10):
        statuses.put({"": End(f"{logic.key('B', str(number))}-7", DONE, {"result": "1"})})
    assert cloud.calls["TransactWriteItems"] == 10
