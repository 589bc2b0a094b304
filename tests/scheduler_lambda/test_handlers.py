"""What the handlers promise besides ``tests/lambdas``: reminders, and ticks with one effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation import aws, later
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.scheduler_lambda import plan, ticks
from tests.moto_cloud import Context, client_error, fixture, ids, record

from . import handlers
from .handlers import FUNCTION, GROUP, ROLE, Cloud, change
from .handlers import cloud as account

cloud = fixture(account)
AT = "2099-01-01T08:01:00Z"
STOCK = "arn:aws:scheduler:eu-central-1:123456789012:schedule/shop/StockReport"
tick = partial(
    handlers.tick,
    schedule=STOCK,
    scheduled_at=AT,
    execution="execution-1",
    input={"kind": "stock-report"},
)


def planned(cloud: Cloud, *changes: dict[str, Any]) -> list[str]:
    """Deliver changes one by one; return when the schedules run that there are then."""
    for one in changes:
        assert cloud.run(plan.handler, record(one, one["order_id"])) == []
    return [found["ScheduleExpression"] for found in cloud.schedules()]


def run(event: Any) -> Any:
    return ticks.handler(event, Context())  # type: ignore[arg-type]


def test_a_reminder_is_a_schedule_that_runs_once_by_the_groups_role_and_is_deleted_then(
    cloud: Cloud,
) -> None:
    assert planned(cloud, change()) == ["at(2099-01-01T08:01:00)"]
    (made,) = cloud.schedules()
    assert (made["Name"], made["GroupName"]) == ("ord-1", GROUP)
    assert (made["Target"]["Arn"], made["Target"]["RoleArn"]) == (FUNCTION, ROLE)
    assert made["ScheduleExpressionTimezone"] == "UTC"
    assert made["ActionAfterCompletion"] == "DELETE"


def test_an_order_has_one_reminder_which_moves_and_is_canceled(cloud: Cloud) -> None:
    moved = change(version=2, remind_at="2099-06-01T08:00:00Z")
    assert planned(cloud, change(), change()) == ["at(2099-01-01T08:01:00)"]
    assert planned(cloud, moved) == ["at(2099-06-01T08:00:00)"]
    assert cloud.schedules()[0]["ActionAfterCompletion"] == "DELETE"
    assert planned(cloud, change(version=3, remind_at=None)) == []
    assert planned(cloud, change(version=3, remind_at=None)) == []


def test_an_older_change_that_comes_late_neither_moves_nor_cancels(cloud: Cloud) -> None:
    kept = planned(cloud, change(version=5))
    assert planned(cloud, change(version=4), change(version=3, remind_at=None)) == kept


def test_a_reminder_whose_time_is_over_runs_soon_under_its_own_name(cloud: Cloud) -> None:
    before = datetime.now(UTC)
    (at,) = planned(cloud, change(remind_at="2020-01-01T08:00:00Z"))
    soon = datetime.fromisoformat(at[3:-1]).replace(tzinfo=UTC)
    assert later.EARLIEST - timedelta(seconds=1) <= soon - before < timedelta(seconds=60)
    assert cloud.made[0]["scheduled_at"] == "2020-01-01T08:00:00Z"


def test_a_reminder_that_runs_while_it_is_moved_is_made_again(cloud: Cloud) -> None:
    planned(cloud, change())
    gone = client_error("ResourceNotFoundException")
    cloud.fail("UpdateSchedule", gone)
    moved = record(change(version=2), "ord-1")
    assert cloud.run(plan.handler, moved) == ids(moved)
    assert cloud.run(plan.handler, moved) == []


def test_a_thousand_new_reminders_cost_a_thousand_calls_and_asking_first_twice_as_many(
    cloud: Cloud,
) -> None:
    cloud.fakes["scheduler"] = lambda *_: (200, {"ScheduleArn": "arn"})
    for first in range(0, 1000, 10):
        batch = [record(change(number), f"ord-{number}") for number in range(first, first + 10)]
        assert cloud.run(plan.handler, *batch) == []
    calls = cloud.calls.total()
    cloud.calls.clear()
    for number in range(10):  # as many write it: is there one? then make it
        planned_one_by_one(number)
    assert (calls, 100 * cloud.calls.total()) == (1000, 2000)


def planned_one_by_one(number: int) -> None:
    scheduler, name = aws.client("scheduler"), {"Name": f"ord-{number}", "GroupName": GROUP}
    scheduler.get_schedule(**name)
    scheduler.create_schedule(
        **name,
        ScheduleExpression="at(2099-01-01T08:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": FUNCTION, "RoleArn": ROLE},
    )


# Ticks


def test_a_tick_that_comes_twice_takes_effect_once(cloud: Cloud) -> None:
    assert run(tick())["status"] == "done"
    assert run(tick(execution="execution-2", attempt="2"))["status"] == "duplicate"
    (item,) = cloud.items()
    assert (item["pk"], item["execution"]) == (f"{STOCK}#{AT}", "execution-1")


def test_a_tick_costs_one_call_as_scheduler_hands_over_one_at_a_time(cloud: Cloud) -> None:
    for number in range(10):
        assert run(tick(schedule=f"ord-{number}"))["status"] == "done"
    assert cloud.calls == {"PutItem": 10}


def test_each_time_and_each_schedule_has_its_own_effect(cloud: Cloud) -> None:
    for event in (tick(), tick(scheduled_at="2099-01-01T09:01:00Z"), tick(schedule="ord-1")):
        assert run(event)["status"] == "done"
    assert len(cloud.items()) == 3


def test_the_two_hours_that_clocks_show_twice_are_two_ticks(cloud: Cloud) -> None:
    """Scheduler tells the time in UTC: 02:30 in Berlin is 00:30, and 01:30 an hour later."""
    for at in ("2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"):
        assert run(tick(scheduled_at=at))["status"] == "done"


def test_a_late_tick_is_recognized_and_takes_effect(cloud: Cloud) -> None:
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    answer = run(tick(scheduled_at=f"{two_hours_ago:%Y-%m-%dT%H:%M:%SZ}"))
    assert 7200 <= answer["late_seconds"] < 7300
    assert cloud.log_lines("Late")[0]["schedule"] == STOCK
    assert int(cloud.items()[0]["late_seconds"]) == answer["late_seconds"]


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        tick(scheduled_at="<aws.scheduler.scheduled-time>"),
        tick(scheduled_at="2099-02-30T08:00:00Z"),
        tick(input=None),
        tick(schedule=""),
    ],
)
def test_what_is_no_tick_fails_so_that_lambda_records_it(cloud: Cloud, event: Any) -> None:
    with pytest.raises(RefusedError):
        run(event)
    assert cloud.items() == []


def test_an_outage_is_raised_so_that_lambda_retries_and_the_retry_takes_effect(
    cloud: Cloud,
) -> None:
    cloud.fail("PutItem", client_error("ThrottlingException"))
    with pytest.raises(ClientError):
        run(tick())
    assert run(tick())["status"] == "done"


def test_the_log_has_no_customer_in_it(cloud: Cloud) -> None:
    run(tick(input={"customer_id": "customer-7"}))
    assert "customer-7" not in cloud.log.getvalue()
