"""Messages that are sent after a delay: by SQS up to 15 minutes, by a schedule beyond them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import later
from tests import moto_cloud
from tests.moto_cloud import Cloud, client, client_error, fixture

cloud = fixture(moto_cloud.cloud)
GROUP = "later"
REQUEST = {
    "GroupName": GROUP,
    "ActionAfterCompletion": "DELETE",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {
        "Arn": "arn:aws:sqs:eu-central-1:123456789012:dead",
        "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
    },
}


def answer(cloud: Cloud, failing: str, times: int) -> None:
    """Let SQS take every batch, but fail entries with this body so many times."""
    left = [times]

    def take(_: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        failed = []
        for one in sent["Entries"]:
            if one["MessageBody"] == failing and left[0]:
                left[0] -= 1
                failed.append({"Id": one["Id"], "Code": "InternalError", "SenderFault": False})
        bad = {one["Id"] for one in failed}
        good = [{"Id": one["Id"]} for one in sent["Entries"] if one["Id"] not in bad]
        return 200, {"Successful": good, "Failed": failed}

    cloud.fakes["sqs"] = take


def delayed(cloud: Cloud, *given: later.Delayed, longest: int = 900, fifo: bool = False) -> Any:
    url = cloud.fifo_queue_url if fifo else cloud.queue_url
    cloud.monkeypatch.setenv("QUEUE_URL", url)
    cloud.monkeypatch.setenv("MESSAGE_DELAY_SECONDS", str(longest))
    cloud.monkeypatch.setenv("SCHEDULE_REQUEST", json.dumps(REQUEST))
    scheduler = client("scheduler")
    if GROUP not in {one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]}:
        scheduler.create_schedule_group(Name=GROUP)
    return later.send(given)


def schedules() -> list[Any]:
    found = client("scheduler").list_schedules(GroupName=GROUP)["Schedules"]
    return [client("scheduler").get_schedule(GroupName=GROUP, Name=one["Name"]) for one in found]


def entries(cloud: Cloud) -> list[dict[str, Any]]:
    sent = [body for name, body in cloud.requests if name == "SendMessageBatch"]
    return [one for body in sent for one in json.loads(body)["Entries"]]


def test_up_to_fifteen_minutes_sqs_delays_a_message_and_beyond_it_a_schedule(cloud: Cloud) -> None:
    before = datetime.now(UTC)
    given = [("plain", None), ("at-once", 0), ("quarter", 900), ("hour", 3600)]
    result = delayed(cloud, *(later.Delayed(name, name, seconds) for name, seconds in given))
    assert [one.get("DelaySeconds") for one in entries(cloud)] == [None, 0, 900]
    (made,) = schedules()
    due = datetime.strptime(made["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
    assert timedelta(minutes=59) < due - before < timedelta(minutes=61)
    assert (made["Target"]["Input"], made["ActionAfterCompletion"]) == ("hour", "DELETE")
    assert result.accepted.keys() == {name for name, _ in given}


def test_in_a_fifo_queue_every_delay_is_a_schedule_with_the_messages_group(cloud: Cloud) -> None:
    given = [later.Delayed("now", "1", None, "a"), later.Delayed("soon", "2", 30, "a")]
    delayed(cloud, *given, longest=0, fifo=True)
    (sent,) = entries(cloud)
    assert "DelaySeconds" not in sent
    assert (sent["MessageGroupId"], sent["MessageDeduplicationId"]) == ("a", "now")
    assert schedules()[0]["Target"]["SqsParameters"] == {"MessageGroupId": "a"}


def test_a_message_that_is_sent_twice_has_one_schedule(cloud: Cloud) -> None:
    one = later.Delayed("hour", "1", 3600)
    assert delayed(cloud, one).accepted == delayed(cloud, one).accepted == {"hour": "hour"}
    assert len(schedules()) == 1


def test_what_sqs_fails_is_sent_again_and_what_fails_again_is_told(cloud: Cloud) -> None:
    answer(cloud, "again", 1)
    assert delayed(cloud, later.Delayed("1", "again"), later.Delayed("2", "good")).unpublished == {}
    answer(cloud, "lost", 9)
    assert delayed(cloud, later.Delayed("3", "lost")).unpublished == {"3": "InternalError"}


@pytest.mark.parametrize(
    ("code", "status"), [("ValidationException", "refused"), ("InternalServer", "unpublished")]
)
def test_what_scheduler_refuses_is_told_apart_from_what_may_be_sent_again(
    cloud: Cloud, code: str, status: str
) -> None:
    cloud.fail("CreateSchedule", client_error(code))
    result = delayed(cloud, later.Delayed("hour", "1", 3600))
    assert result.result("hour") == {"status": status, "reason": code}
