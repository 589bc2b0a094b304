"""What the front promises clients, and how the end of a job is reported."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import statuses
from serverless_patterns.lambdas.foundation.statuses import DONE, FAILED, End
from serverless_patterns.lambdas.polling_status import logic, orders
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE, Cloud, client_error, ids, record, string

from .handlers import MACHINE, STATUSES, ask

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "signer:AROACUSTOMER/job-1"
BODY = json.dumps(order())


def post(cloud: Cloud, job: str = "job-1", body: str = BODY, **named: Any) -> dict[str, Any]:
    return ask(cloud, "POST", "orders", body, Idempotency_Key=job, **named)


def get(cloud: Cloud, job: str = "job-1", **named: Any) -> dict[str, Any]:
    return ask(cloud, "GET", f"orders/{job}", **named)


def said(answer: dict[str, Any]) -> Any:
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the front's clock say so many seconds more."""
    real = time.time

    def pass_(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return pass_


def test_an_accepted_job_says_where_its_status_is_and_when_to_ask(cloud: Cloud) -> None:
    answer = post(cloud)
    assert said(answer) == (202, {"id": "job-1", "state": "accepted"})
    assert answer["headers"]["Location"] == "orders/job-1"
    assert answer["headers"]["Retry-After"] == "1"
    assert answer["headers"]["Content-Type"] == "application/json"
    assert said(get(cloud)) == (200, {"id": "job-1", "state": "accepted"})


def test_a_job_without_a_key_gets_an_id_that_nobody_guesses(cloud: Cloud) -> None:
    one, other = (said(ask(cloud, "POST", "orders", BODY))[1]["id"] for _ in range(2))
    assert one != other
    assert len(one) == 32


def test_a_job_is_handed_over_byte_for_byte_with_its_key_after_it_was_written(
    cloud: Cloud,
) -> None:
    body = json.dumps(order(), indent=3)
    post(cloud, body=body)
    (letter,) = cloud.letters()
    assert letter["Body"] == body
    assert letter["MessageAttributes"]["Job"]["StringValue"] == KEY
    assert [name for name, _ in cloud.requests] == ["PutItem", "SendMessage"]


def test_a_job_that_was_written_and_not_handed_over_is_handed_over_when_it_is_sent_again(
    cloud: Cloud,
) -> None:
    cloud.fail("SendMessage", UNREACHABLE)
    assert post(cloud)["statusCode"] == 503
    assert cloud.letters() == []
    assert post(cloud)["statusCode"] == 202
    assert len(cloud.letters()) == 1


def test_a_job_that_was_not_written_is_not_handed_over(cloud: Cloud) -> None:
    cloud.fail("PutItem", UNREACHABLE, times=9)
    assert post(cloud)["statusCode"] == 503
    assert cloud.letters() == []


def test_another_request_under_a_known_key_is_a_conflict_and_is_not_handed_over(
    cloud: Cloud,
) -> None:
    post(cloud)
    assert post(cloud, body=json.dumps(order(2)))["statusCode"] == 409
    assert len(cloud.letters()) == 1


def test_a_job_that_has_ended_is_not_handed_over_again(cloud: Cloud) -> None:
    post(cloud)
    cloud.letters()
    statuses.put({"": End(KEY, DONE, {"result": "{}"})})
    assert said(post(cloud)) == (202, {"id": "job-1", "state": "done"})
    assert cloud.letters() == []


@pytest.mark.parametrize("job", ["", "a" * 65, "a b", "é", "a/b"])
def test_a_key_that_no_url_can_have_is_rejected(cloud: Cloud, job: str) -> None:
    assert post(cloud, job)["statusCode"] == 400
    assert not cloud.calls


@pytest.mark.parametrize("body", ["", "{", '{"a": 1, "a": 2}', '{"a": 1.5}', '"\\ud800"'])
def test_a_body_that_is_no_json_or_can_be_read_in_two_ways_is_rejected(
    cloud: Cloud, body: str
) -> None:
    assert post(cloud, body=body)["statusCode"] == 400
    assert not cloud.calls


def test_a_client_is_not_told_of_anothers_job_nor_that_there_is_one(cloud: Cloud) -> None:
    post(cloud)
    stranger = {"who": "AROASTRANGER:session"}
    assert said(get(cloud, **stranger)) == said(get(cloud, "no-such-job", **stranger))
    assert said(get(cloud, **stranger)) == (404, {"message": "There is no such job."})
    assert post(cloud, body=json.dumps(order(2)), **stranger)["statusCode"] == 202, "its own"
    assert get(cloud, who="AROACUSTOMER:another-session")["statusCode"] == 200


def test_who_is_not_known_is_told_nothing(cloud: Cloud) -> None:
    for method, path in (("POST", "orders"), ("GET", "orders/job-1")):
        assert ask(cloud, method, path, BODY, who="")["statusCode"] == 403
    assert not cloud.calls


@pytest.mark.parametrize(
    ("context", "owner"),
    [
        ({"authorizer": {"claims": {"sub": "u-1"}}, "identity": {"caller": "A:s"}}, "user:u-1"),
        ({"authorizer": {"principalId": "p-1"}}, "principal:p-1"),
        ({"identity": {"caller": "A:CognitoIdentityCredentials", "cognitoIdentityId": "i-1"}},
         "identity:i-1"),
        ({"identity": {"caller": "AROA:session"}}, "signer:AROA"),
        ({"identity": {"caller": None}}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_job_belongs_to_whom_the_authorizer_names_else_to_who_signed(
    context: dict[str, Any], owner: str
) -> None:
    assert logic.owner(context) == owner


def test_a_state_that_the_client_has_seen_is_a_304_without_a_body(cloud: Cloud) -> None:
    post(cloud)
    first = get(cloud)
    for seen in (first["headers"]["ETag"], f'"other", W/{first["headers"]["ETag"]}'):
        again = get(cloud, If_None_Match=seen)
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["Retry-After"]
    statuses.put({"": End(KEY, DONE, {"result": "7"})})
    changed = get(cloud, If_None_Match=first["headers"]["ETag"])
    assert said(changed) == (200, {"id": "job-1", "state": "done", "result": 7})
    assert "Retry-After" not in changed["headers"]


def test_nobody_but_the_client_keeps_a_status_and_it_asks_whether_it_is_still_so(
    cloud: Cloud,
) -> None:
    post(cloud)
    assert get(cloud)["headers"]["Cache-Control"] == "private, no-cache"


def test_the_longer_a_job_takes_the_later_its_client_asks_and_within_half_a_minute(
    cloud: Cloud, later: Callable[[float], None]
) -> None:
    post(cloud)
    waits = []
    for seconds in (0, 10, 40, 600):
        later(seconds)
        waits.append(int(get(cloud)["headers"]["Retry-After"]))
    assert waits == [1, 5, 20, 30]


def test_a_job_that_nobody_finishes_fails_at_its_deadline_and_may_still_be_done(
    cloud: Cloud, later: Callable[[float], None]
) -> None:
    post(cloud)
    later(899)
    assert said(get(cloud))[1]["state"] == "accepted"
    later(901)
    ended = said(get(cloud))[1]
    assert (ended["state"], ended["reason"]) == ("failed", "DeadlineExceeded")
    assert ended["detail"].startswith("It took too long, and may still be done.")
    later(0)
    assert said(get(cloud))[1] == ended, "it is written down"
    statuses.put({"": End(KEY, DONE, {"result": "7"})})
    assert said(get(cloud))[1]["state"] == "done"


def test_a_late_or_repeated_report_takes_nothing_back(cloud: Cloud) -> None:
    post(cloud)
    statuses.put({"": End(KEY, DONE, {"result": "7"})})
    done = get(cloud)
    for end in (End(KEY, FAILED, {"reason": "late"}), End(KEY, DONE, {"result": "8"})):
        assert statuses.put({"": end}) == {}
        assert get(cloud) == done


def test_a_status_expires(cloud: Cloud) -> None:
    post(cloud)
    statuses.put({"": End(KEY, DONE, {"result": "7"})})
    for item in cloud.items(STATUSES):
        assert int(item["expires_at"]) - int(item["at"]) == 604_800


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
    assert len(name) == 64
    assert "job-1" not in name


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"status": "RUNNING"}, {"state": "accepted"}),
        ({"status": "SUCCEEDED", "output": '{"a": 1.5}'}, {"state": "done", "result": {"a": 1.5}}),
        ({"status": "FAILED", "error": "Unknown", "cause": "Geheimnis"},
         {"state": "failed", "reason": "Unknown", "detail": "The work could not be finished."}),
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
    assert cloud.calls["DescribeExecution"] - calls == (told["state"] == "accepted")


def test_an_execution_that_cannot_be_asked_about_has_not_ended(
    cloud: Cloud, executions: dict[str, Any], later: Callable[[float], None]
) -> None:
    start(cloud)
    executions["found"] = {"status": "SUCCEEDED"}
    cloud.fail("DescribeExecution", client_error("ThrottlingException"))
    assert look(cloud)["state"] == "accepted"
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
            exposed = answer["headers"]["Access-Control-Expose-Headers"]
            assert exposed == "ETag,Location,Retry-After"
            assert answer["headers"]["Vary"] == "Origin"


# The consumer's report.


def job(number: int = 1, *, receive_count: int = 1, **changes: Any) -> dict[str, Any]:
    attributes = {"Job": string(f"signer:A/job-{number}")}
    return record(order(number, **changes), attributes=attributes, receive_count=receive_count)


def ends(cloud: Cloud) -> dict[str, Any]:
    return {item["pk"][-5:]: item for item in cloud.items(STATUSES)}


def test_a_job_ends_as_its_message_does(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, job(1), job(2, total="1.00"), job(1)) == []
    found = ends(cloud)
    assert found["job-1"]["sk"] == "done"
    assert json.loads(found["job-1"]["result"]) == {"outcome": "stored"}
    assert (found["job-2"]["sk"], found["job-2"]["reason"]) == ("failed", "total")
    assert found["job-2"]["detail"].startswith("total is not the sum")


def test_a_message_that_says_no_job_is_processed_all_the_same(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, record(order(1))) == []
    assert len(cloud.items()) == 1
    assert cloud.items(STATUSES) == []


def test_only_the_last_attempt_of_a_message_ends_its_job(cloud: Cloud) -> None:
    cloud.fail_all_about("ord-1")
    early, last = job(1, receive_count=4), job(1, receive_count=5)
    assert cloud.run(orders.handler, early, job(2)) == ids(early)
    assert "job-1" not in ends(cloud)
    assert cloud.run(orders.handler, last, job(3)) == ids(last)
    assert ends(cloud)["job-1"]["sk"] == "failed"
    assert "Throttling" in ends(cloud)["job-1"]["reason"]


def test_a_job_whose_end_is_not_written_is_delivered_again_and_not_dead_lettered(
    cloud: Cloud,
) -> None:
    cloud.fail_all_about("signer:A/job-2")
    wrong = job(2, total="1.00")
    assert cloud.run(orders.handler, job(1), wrong) == ids(wrong)
    assert cloud.letters() == []
    cloud.faults.clear()
    assert cloud.run(orders.handler, wrong) == []
    assert (ends(cloud)["job-2"]["sk"], len(cloud.letters())) == ("failed", 1)


def test_the_ends_of_a_thousand_jobs_cost_20_calls_and_one_by_one_1000(cloud: Cloud) -> None:
    taken = cloud.answer_writes()
    for batch in range(20):
        assert cloud.run(orders.handler, *(job(50 * batch + n) for n in range(50))) == []
    assert len(taken) == 2_000, "an order and an end each"
    assert cloud.calls["TransactWriteItems"] == 40
    del cloud.fakes["dynamodb"]
    cloud.calls.clear()
    for number in range(10):
        statuses.put({"": End(f"signer:B/{number}", DONE, {"result": "1"})})
    assert cloud.calls["TransactWriteItems"] == 10
