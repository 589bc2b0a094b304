"""What the code promises besides ``tests/lambdas``: growing delays, and messages sent later."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_cdk import Duration

from serverless_patterns.lambdas.delay_and_visibility import importer, orders, send
from serverless_patterns.lambdas.foundation import aws, later, visibility, workers
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import (
    DUPLICATE,
    POSTPONED,
    STORED,
    Outcome,
    RefusedError,
)
from serverless_patterns.patterns.delay_and_visibility import construct
from serverless_patterns.patterns.limits import SQS_MAX_RECEIVES
from tests.lambdas.orders import order
from tests.moto_cloud import Cloud, Context, client, client_error, fixture, ids, record

from .handlers import cloud as account

cloud = fixture(account)
HIDE = "ChangeMessageVisibilityBatch"
ROLE = "arn:aws:iam::123456789012:role/scheduler"
WANTED = {"job_id": "job-1", "supplier": "Bosch", "minutes": 2}


def of_warehouse(number: int, currency: str, receives: int = 1) -> dict[str, Any]:
    """Return an order in its message, as Lambda delivers it."""
    made = record(order(number, currency=currency), receive_count=receives)
    return made | {"receiptHandle": f"handle-{number}"}


def hidden(cloud: Cloud) -> dict[str, int]:
    """Return for how many seconds SQS was asked to hide messages, by their handles."""
    entries = [json.loads(body)["Entries"] for name, body in cloud.requests if name == HIDE]
    return {one["ReceiptHandle"]: one["VisibilityTimeout"] for each in entries for one in each}


def answer(cloud: Cloud, *failing: str, times: int = 1) -> None:
    """Let SQS take every batch, but fail entries with these handles so many times."""
    left = dict.fromkeys(failing, times)

    def take(_: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        failed = []
        for one in sent["Entries"]:
            if left.get(one["ReceiptHandle"], 0):
                left[one["ReceiptHandle"]] -= 1
                failed.append({"Id": one["Id"], "Code": "InternalError", "SenderFault": False})
        bad = {one["Id"] for one in failed}
        good = [{"Id": one["Id"]} for one in sent["Entries"] if one["Id"] not in bad]
        return 200, {"Successful": good, "Failed": failed}

    cloud.fakes["sqs"] = take


# Growing delays


def test_only_the_failed_messages_are_hidden_and_each_by_its_own_receives(cloud: Cloud) -> None:
    answer(cloud)
    cloud.monkeypatch.setenv("CLOSED", "GBP USD")
    batch = [of_warehouse(1, "EUR"), of_warehouse(2, "GBP"), of_warehouse(3, "USD", receives=4)]
    assert cloud.run(orders.handler, *batch) == ids(*batch[1:])
    asked = hidden(cloud)
    assert asked.keys() == {"handle-2", "handle-3"}
    assert 15 <= asked["handle-2"] <= 30
    assert 120 <= asked["handle-3"] <= 240
    lines = cloud.log_lines("Retry")
    assert [(it["receives"], it["seconds"], it["reason"]) for it in lines] == [
        (1, asked["handle-2"], "WarehouseClosed"),
        (4, asked["handle-3"], "WarehouseClosed"),
    ]
    assert [item["pk"] for item in cloud.items()] == ["ord-1"]


def test_an_outage_hides_every_message_and_reports_them_all(cloud: Cloud) -> None:
    answer(cloud)
    cloud.fail("TransactWriteItems", client_error("InternalServerError"), times=9)
    batch = [of_warehouse(number, "EUR") for number in range(3)]
    assert cloud.run(orders.handler, *batch) == ids(*batch)
    assert len(hidden(cloud)) == 3


def test_entries_that_sqs_fails_are_sent_again_alone(cloud: Cloud) -> None:
    answer(cloud, "b")
    assert visibility.change(cloud.queue_url, {"a": 5, "b": 6, "c": 7}) == {}
    sent = [json.loads(body)["Entries"] for name, body in cloud.requests if name == HIDE]
    assert [[one["ReceiptHandle"] for one in each] for each in sent] == [["a", "b", "c"], ["b"]]


def test_a_message_that_sqs_does_not_hide_is_logged_and_reported_all_the_same(
    cloud: Cloud,
) -> None:
    answer(cloud, "handle-1", times=9)
    cloud.monkeypatch.setenv("CLOSED", "GBP")
    batch = [of_warehouse(1, "GBP"), of_warehouse(2, "EUR")]
    assert cloud.run(orders.handler, *batch) == ids(batch[0])
    assert cloud.log_lines("NotHidden")[0]["codes"] == ["InternalError"]


def test_a_postponed_message_is_shown_at_once(cloud: Cloud) -> None:
    answer(cloud)
    messages = [Message.of(of_warehouse(number, "EUR")) for number in range(2)]
    outcomes = dict(zip([one.id for one in messages], [POSTPONED, STORED], strict=True))
    assert visibility.retry_later(messages, outcomes) == {}
    assert hidden(cloud) == {"handle-0": 0}


@pytest.mark.parametrize("factor", [1, 2, 3.5, 10])
def test_a_delay_is_half_of_it_to_all_and_never_more_than_the_longest(factor: float) -> None:
    backoff = visibility.Backoff(5, factor, 3600)
    for receives in range(1, SQS_MAX_RECEIVES + 1):
        least, most = (backoff.delay(receives, lambda draw=draw: draw) for draw in (0, 1))  # type: ignore[misc]
        assert 0 < least <= most <= 3600
        assert abs(most - 2 * least) <= 2


@pytest.mark.parametrize("factor", [1, 2, 3.5])
def test_the_construct_counts_with_the_delays_of_the_code(factor: float) -> None:
    first, longest = Duration.seconds(7), Duration.hours(2)
    promised = construct.Backoff(first=first, factor=factor, longest=longest)
    of_code = visibility.Backoff(7, factor, 7200)
    for receives in range(1, SQS_MAX_RECEIVES + 1):
        assert (
            promised.delay(receives)
            <= of_code.delay(receives, lambda: 1)
            < (promised.delay(receives) + 1.1)
        )


def test_a_thousand_failures_cost_a_hundred_calls_and_one_by_one_a_thousand(cloud: Cloud) -> None:
    answer(cloud)
    messages = [Message.of(of_warehouse(number, "EUR")) for number in range(1000)]
    failed = {one.id: Outcome.failed("WarehouseClosed") for one in messages}
    for first in range(0, 1000, 10):
        visibility.retry_later(messages[first : first + 10], failed)
    batched = cloud.calls.total()
    cloud.calls.clear()
    cloud.fakes["sqs"] = lambda *_: (200, {})
    for one in messages[:10]:  # as many write it
        aws.client("sqs").change_message_visibility(
            QueueUrl=cloud.queue_url, ReceiptHandle=one.receipt_handle, VisibilityTimeout=30
        )
    assert (batched, 100 * cloud.calls.total()) == (100, 1000)


# Later


def sent_later(cloud: Cloud, by_sqs: str, *delays: int | None) -> dict[str, Any]:
    """Send an order after each delay; return the schedule of the last one."""
    client("scheduler").create_schedule_group(Name="later")
    target = {"Arn": "arn:aws:sqs:eu-central-1:123456789012:dead", "RoleArn": ROLE}
    request = {"GroupName": "later", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    cloud.monkeypatch.setenv("SCHEDULE_REQUEST", json.dumps(request))
    cloud.monkeypatch.setenv("MESSAGE_DELAY_SECONDS", by_sqs)
    given = [
        {"order": order(number), "delay_seconds": seconds, "group": None}
        for number, seconds in enumerate(delays)
    ]
    told = send.handler({"orders": given}, Context())  # type: ignore[arg-type]
    assert told == {"results": {f"ord-{n}": {"status": "published"} for n in range(len(delays))}}
    found: dict[str, Any] = client("scheduler").get_schedule(
        GroupName="later", Name=f"ord-{len(delays) - 1}"
    )
    return found


def test_the_sender_says_what_became_of_each_order(cloud: Cloud) -> None:
    made = sent_later(cloud, "900", None, 3600)
    assert json.loads(made["Target"]["Input"]) == order(1)
    assert "customer-7" not in cloud.log.getvalue()


@pytest.mark.parametrize("seconds", [1, 3600])
def test_a_schedule_is_never_in_the_past_and_never_before_its_delay_is_over(
    cloud: Cloud, seconds: int
) -> None:
    asked = datetime.now(UTC)
    at = sent_later(cloud, "0", seconds)["ScheduleExpression"]
    due = datetime.fromisoformat(at.removeprefix("at(").removesuffix(")")).replace(tzinfo=UTC)
    wait = max(timedelta(seconds=seconds), later.EARLIEST)
    assert asked + wait <= due < asked + wait + timedelta(seconds=60)


@pytest.mark.parametrize(
    "change",
    [
        {"delay_seconds": "5"}, {"delay_seconds": -1}, {"delay_seconds": 1e300},
        {"delay_seconds": float("nan")}, {"delay_seconds": True}, {"group": 7}, {"order": 7},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_sent_of_an_event_with_an_order_that_could_not_be(
    cloud: Cloud, change: dict[str, Any]
) -> None:
    good = {"order": order(1), "delay_seconds": 0, "group": None}
    with pytest.raises(RefusedError):
        send.handler({"orders": [good, good | change]}, Context())  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        send.handler({"orders": 7}, Context())  # type: ignore[arg-type]
    assert not cloud.calls


# A worker's jobs


def imported(cloud: Cloud, body: Any = WANTED) -> Outcome:
    cloud.monkeypatch.setenv("MINUTE_SECONDS", "0")
    message = Message.of(record(body))
    backoff = visibility.Backoff.of_environment()
    settings = workers.Settings("", 60, 3600, backoff)
    return importer.work(workers.Job(message, settings, 0.0, threading.Event()))


def test_a_catalog_that_is_delivered_twice_is_imported_once(cloud: Cloud) -> None:
    assert [imported(cloud), imported(cloud)] == [STORED, DUPLICATE]
    (item,) = cloud.items()
    assert (item["pk"], item["attempts"]) == ("job-1", "1")


def test_two_workers_with_one_job_store_it_once(cloud: Cloud) -> None:
    cloud.fakes["dynamodb"] = lambda operation, _: (
        (200, {})
        if operation == "GetItem"
        else (400, {"__type": "ConditionalCheckFailedException", "message": "there"})
    )
    assert imported(cloud) == DUPLICATE


@pytest.mark.parametrize("change", [{"minutes": 61}, {"supplier": ""}, {"job_id": "a b"}])
def test_what_is_no_job_is_refused(cloud: Cloud, change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        imported(cloud, WANTED | change)
