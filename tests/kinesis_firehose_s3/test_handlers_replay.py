"""The replay sends what failed once more, and deletes only what the stream holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl, replay

from .conftest import BUCKET, STREAM, click, to_bytes

if TYPE_CHECKING:
    from .conftest import Cloud

PREFIX = "errors/clicks/processing-failed/"


def good(number: int, **changes: Any) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0, second=0).isoformat()
    return to_bytes(click(number, clicked_at=now) | changes)


def run(cloud: Cloud, **options: Any) -> replay.Replayed:
    return replay.replay(
        cloud.s3, cloud.kinesis, bucket=BUCKET, prefix=PREFIX, stream_name=STREAM, **options
    )


def test_a_look_sends_and_deletes_nothing(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", good(1), b"nonsense", good(2, user_agent="curl/8"))
    before = cloud.kept()
    done = run(cloud)
    assert (done.objects, done.events, done.sent) == (1, 3, 0)
    assert done.reasons == {"ok": 1, "not_csv": 1, "bot": 1}
    assert cloud.kept() == before
    assert cloud.records() == []


def test_what_passes_now_is_sent_and_its_object_deleted(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2))
    cloud.keep(f"{PREFIX}two", good(3))
    done = run(cloud, send=True)
    assert (done.sent, done.kept) == (3, [])
    assert [json.loads(event)["click_id"] for event in sorted(cloud.events())] == [
        "click-1",
        "click-2",
        "click-3",
    ]
    assert cloud.kept() == {}


def test_what_would_fail_again_stays_where_it_is(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}mixed", b"nonsense", good(1))
    cloud.keep(f"{PREFIX}bad", b"[]")
    done = run(cloud, send=True)
    assert done.sent == 1
    assert cloud.kept() == {f"{PREFIX}bad": [b"[]"], f"{PREFIX}mixed": [b"nonsense"]}
    assert sorted(done.kept) == [f"{PREFIX}bad", f"{PREFIX}mixed"]
    again = run(cloud, send=True)
    assert again.sent == 0
    assert len(cloud.events()) == 1


def test_an_aggregated_record_comes_back_as_single_clicks(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", kpl.aggregate("k", [good(1), b"nonsense", good(2)]))
    run(cloud, send=True)
    assert len(cloud.records()) == 2
    assert cloud.kept() == {f"{PREFIX}one": [b"nonsense"]}


def test_other_failures_and_other_data_are_not_touched(cloud: Cloud) -> None:
    cloud.keep("errors/clicks/format-conversion-failed/one", good(1))
    cloud.keep("clicks/day=2026-11-21/one", good(2))
    assert run(cloud, send=True).objects == 0
    assert len(cloud.kept()) == 2


class FullKinesis:
    """A stream that takes nothing; moto's takes everything."""

    def put_records(self, StreamName: str, Records: list[Any]) -> dict[str, Any]:  # noqa: N803
        return {"Records": [{"ErrorCode": "ProvisionedThroughputExceededException"}] * len(Records)}


def test_nothing_is_deleted_that_the_stream_did_not_take(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2))
    before = cloud.kept()
    full: Any = FullKinesis()
    done = replay.replay(
        cloud.s3, full, bucket=BUCKET, prefix=PREFIX, stream_name=STREAM, send=True, give_up_after=0
    )
    assert (done.sent, done.kept) == (0, [f"{PREFIX}one"])
    assert cloud.kept() == before


@pytest.mark.parametrize("between", ["\n", "", " \n\n"], ids=["lines", "none", "blank lines"])
def test_an_error_object_is_read_however_its_documents_are_parted(
    cloud: Cloud, between: str
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2), between=between)
    assert run(cloud).events == 2


def test_a_thousand_failed_clicks_take_two_calls_and_two_an_object(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", *[good(number) for number in range(1_000)])
    cloud.calls.clear()
    run(cloud, send=True)
    assert cloud.calls == {"ListObjectsV2": 1, "GetObject": 1, "PutRecords": 2, "DeleteObject": 1}


def test_the_command_line_looks_first_and_sends_on_request(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), b"nonsense")
    replay.main([BUCKET, PREFIX, STREAM])
    assert "not_csv: 1" in capsys.readouterr().out
    assert cloud.records() == []
    replay.main([BUCKET, PREFIX, STREAM, "--send"])
    assert "sent: 1; objects that stay: 1" in capsys.readouterr().out
