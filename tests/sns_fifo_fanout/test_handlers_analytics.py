"""The lake: every change, by day. What every consumer promises is in ``tests/lambdas/``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serverless_patterns.lambdas.sns_fifo_fanout import analytics
from tests.moto_cloud import TIMEOUT, Cloud, client, ids, record

from .handlers import BUCKET, change


def run(cloud: Cloud, *sent: dict[str, Any]) -> list[str]:
    return cloud.run(analytics.handler, *sent)


def days() -> dict[str, list[Any]]:
    """Return the changes in each day's folder."""
    found: dict[str, list[Any]] = {}
    for item in client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []):
        body = client("s3").get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
        day = item["Key"].removeprefix("price-changes/date=").split("/")[0]
        found.setdefault(day, []).extend(json.loads(line) for line in body.splitlines())
    return found


def test_changes_are_written_as_published_into_the_folder_of_their_day(cloud: Cloud) -> None:
    before = change(1, changed_at="2026-11-20T23:59:59Z")
    after = [change(2, changed_at="2026-11-21T00:00:00.5Z"), change(3)]
    assert run(cloud, *map(record, [before, *after])) == []
    assert days() == {"2026-11-20": [before], "2026-11-21": after}
    assert cloud.calls == {"PutObject": 2}


@pytest.mark.parametrize("lost", [False, True])
def test_a_batch_that_is_delivered_again_replaces_its_file(cloud: Cloud, lost: bool) -> None:
    sent = [record(change(version)) for version in (1, 2, 3)]
    if lost:
        cloud.fail("PutObject", TIMEOUT, when="after")
    assert run(cloud, *sent) == (ids(*sent) if lost else [])
    assert run(cloud, *reversed(sent)) == []
    assert days() == {"2026-11-21": [change(3), change(2), change(1)]}


@pytest.mark.parametrize(("batch", "calls"), [(500, 2), (1, 50)])
def test_a_thousand_lines_of_the_lake_cost_two_calls_a_day(
    cloud: Cloud, batch: int, calls: int
) -> None:
    cloud.fakes["s3"] = lambda *_: (200, {})
    sent = [record(change(number + 1)) for number in range(batch * calls)]
    for start in range(0, len(sent), batch):
        assert run(cloud, *sent[start : start + batch]) == []
    assert cloud.calls == {"PutObject": calls}


def test_only_the_day_that_failed_is_delivered_again(cloud: Cloud) -> None:
    before = [record(change(v, changed_at="2026-11-20T08:00:00Z")) for v in (1, 2)]
    cloud.fail_all_about("2026-11-20")
    assert run(cloud, *before, record("poison"), record(change(3))) == ids(*before)
    assert days() == {"2026-11-21": [change(3)]}
