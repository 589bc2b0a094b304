"""The lake: every change, by day, and only what failed is delivered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from .events import change, ids, record

if TYPE_CHECKING:
    from .conftest import Cloud

UNREACHABLE = EndpointConnectionError(endpoint_url="https://s3")
TIMEOUT = ReadTimeoutError(endpoint_url="https://s3")


def days(cloud: Cloud) -> dict[str, list[str]]:
    """Return the event ids of each day's folder."""
    found: dict[str, list[str]] = {}
    for key, lines in cloud.files().items():
        day = key.removeprefix("price-changes/date=").split("/")[0]
        found.setdefault(day, []).extend(line["event_id"] for line in lines)
    return found


def test_changes_are_written_into_the_folder_of_their_day(cloud: Cloud) -> None:
    sent = [
        record(change(1, changed_at="2026-11-20T23:59:59Z")),
        record(change(2, changed_at="2026-11-21T00:00:00.5Z")),
        record(change(3, changed_at="2026-11-21T08:00:00Z")),
    ]
    assert cloud.analytics(*sent) == []
    assert days(cloud) == {
        "2026-11-20": ["BRK-PAD-F-1"],
        "2026-11-21": ["BRK-PAD-F-2", "BRK-PAD-F-3"],
    }
    assert cloud.calls == {"PutObject": 2}


def test_a_line_is_the_change_as_it_was_published(cloud: Cloud) -> None:
    cloud.analytics(record(change(1)))
    assert list(cloud.files().values()) == [[change(1)]]


def test_a_message_without_a_group_is_taken(cloud: Cloud) -> None:
    assert cloud.analytics(record(change(1), group=None)) == []
    assert days(cloud) == {"2026-11-21": ["BRK-PAD-F-1"]}


def test_a_batch_that_is_delivered_again_replaces_its_file(cloud: Cloud) -> None:
    sent = [record(change(version)) for version in (1, 2, 3)]
    cloud.analytics(*sent)
    cloud.analytics(*reversed(sent))
    assert sorted(days(cloud)["2026-11-21"]) == ["BRK-PAD-F-1", "BRK-PAD-F-2", "BRK-PAD-F-3"]


def test_a_lost_answer_makes_no_second_line(cloud: Cloud) -> None:
    sent = [record(change(version)) for version in (1, 2)]
    cloud.fail("PutObject", TIMEOUT, when="after", times=3)
    cloud.analytics(*sent)
    cloud.faults.clear()
    cloud.analytics(*sent)
    assert days(cloud) == {"2026-11-21": ["BRK-PAD-F-1", "BRK-PAD-F-2"]}


def test_poison_is_kept_with_its_reason_and_the_others_are_written(cloud: Cloud) -> None:
    poison = record(change(2, price="1,99"))
    assert cloud.analytics(record(change(1)), poison, record("not JSON"), record(change(3))) == []
    assert days(cloud) == {"2026-11-21": ["BRK-PAD-F-1", "BRK-PAD-F-3"]}
    letters = cloud.letters()
    assert poison["body"] in [letter["Body"] for letter in letters]
    reasons = [letter["MessageAttributes"]["Reason"]["StringValue"] for letter in letters]
    assert sorted(reasons) == ["not_json", "price"]


@pytest.mark.parametrize("error", [UNREACHABLE, TIMEOUT], ids=lambda e: type(e).__name__)
def test_only_the_day_that_failed_is_delivered_again(cloud: Cloud, error: Exception) -> None:
    first = [record(change(v, changed_at="2026-11-20T08:00:00Z")) for v in (1, 2)]
    second = record(change(3))
    cloud.fail("PutObject", error, times=1)
    failed = cloud.analytics(*first, second)
    assert failed in ([], ids(*first))  # boto3 may have tried again by itself
    assert cloud.analytics(*[one for one in first if one["messageId"] in failed]) == []
    assert days(cloud) == {
        "2026-11-20": ["BRK-PAD-F-1", "BRK-PAD-F-2"],
        "2026-11-21": ["BRK-PAD-F-3"],
    }


def test_an_outage_fails_every_record(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [record(change(version)) for version in (1, 2)]
    monkeypatch.setenv("BUCKET_NAME", "another-bucket-that-is-away")
    assert cloud.analytics(*sent) == ids(*sent)
    assert cloud.log_lines()[-1]["failures"] == {"NoSuchBucket": 2}
