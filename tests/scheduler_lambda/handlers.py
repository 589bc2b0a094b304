"""The consumer that plans reminders, with an account that it works in."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from moto.scheduler.models import EventBridgeSchedulerBackend

from serverless_patterns.lambdas.scheduler_lambda import plan, ticks
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.consumers import Consumer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

GROUP = "reminders"
ROLE = "arn:aws:iam::123456789012:role/scheduler"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:run"
REQUEST = {
    "GroupName": GROUP,
    "ActionAfterCompletion": "DELETE",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": FUNCTION, "RoleArn": ROLE},
}
ENVIRONMENT = {"TABLE_NAME": moto_cloud.TABLE, "SCHEDULE_REQUEST": json.dumps(REQUEST)}


class Cloud(moto_cloud.Cloud):
    """What the handlers use; ``made`` are the ticks of schedules as they were made and moved."""

    made: list[dict[str, Any]]

    def schedules(self) -> list[dict[str, Any]]:
        """Return the schedules that there are."""
        scheduler = moto_cloud.client("scheduler")
        found = scheduler.list_schedules(GroupName=GROUP)["Schedules"]
        return [scheduler.get_schedule(GroupName=GROUP, Name=one["Name"]) for one in found]


def change(number: int = 1, version: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a valid change; ``changes`` replace its fields."""
    return {
        "order_id": f"ord-{number}",
        "customer_id": "customer-7",
        "version": version,
        "remind_at": f"2099-01-01T08:{version % 60:02}:00Z",
    } | changes


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with a group of schedules."""
    tables = {moto_cloud.TABLE: ("pk",)}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=ENVIRONMENT, kind=Cloud) as made:
        moto_cloud.client("scheduler").create_schedule_group(Name=GROUP)
        made.made = []

        for method in ("create_schedule", "update_schedule"):
            monkeypatch.setattr(EventBridgeSchedulerBackend, method, _noted(made, method))
        yield made


def _noted(cloud: Cloud, method: str) -> Any:
    original: Any = getattr(EventBridgeSchedulerBackend, method)

    def call(backend: Any, **given: Any) -> Any:
        result = original(backend, **given)
        tick = json.loads(given["target"]["Input"])
        mine = [one for one in cloud.made if one["schedule"] == tick["schedule"]]
        if mine[-1:] != [tick]:  # the same again changes nothing
            cloud.made.append(tick)
        return result

    return call


def tick(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a valid tick; ``fields`` replace its own."""
    return {
        "schedule": f"ord-{number}",
        "scheduled_at": "2026-09-21T08:00:00Z",
        "execution": "e-1",
        "attempt": "1",
        "input": {"customer_id": "customer-7"},
    } | fields


def done(cloud: Any) -> list[dict[str, Any]]:
    """Return the ticks that took effect."""
    return [
        {
            "schedule": item["schedule"],
            "scheduled_at": item["pk"].partition("#")[2],
            "execution": item["execution"],
            "attempt": "1",
            "input": json.loads(item["input"]),
        }
        for item in cloud.items()
    ]


def effects(cloud: Any) -> list[dict[str, Any]]:
    """Return the changes that took effect."""
    return [
        {
            "order_id": tick["schedule"],
            "customer_id": tick["input"]["customer_id"],
            "version": tick["input"]["version"],
            "remind_at": tick["scheduled_at"],
        }
        for tick in cloud.made
    ]


def applied(cloud: Any, number: int) -> list[int]:
    """Return the versions of an order's reminder, as they took effect."""
    mine = [one for one in effects(cloud) if one["order_id"] == f"ord-{number}"]
    return [one["version"] for one in mine]


CONSUMERS = {
    "plan": Consumer(
        plan.handler,
        cloud,
        good=change,
        name=lambda number: f"ord-{number}",
        bad=change(remind_at="morgen"),
        reason="time",
        work="CreateSchedule",
        secrets=("customer-7", "morgen"),
        applied=applied,
        effects=effects,
        newest_counts=True,
        alone=True,
    )
}
DELIVERED = {
    "ticks": Delivered(
        Consumer(
            ticks.handler,
            cloud,
            good=lambda number, _: tick(number),
            name=lambda number: f"ord-{number}",
            bad=tick(scheduled_at="morgen"),
            reason="time",
            work="PutItem",
            secrets=("customer-7", "morgen"),
            effects=done,
        ),
        Asynchronous,
    )
}
