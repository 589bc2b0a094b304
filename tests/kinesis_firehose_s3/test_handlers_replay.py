"""The replay sends what failed once more, and deletes only what the stream holds."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.streams import Producer
from serverless_patterns.lambdas.kinesis_firehose_s3 import replay

from .conftest import BUCKET, STREAM, THROTTLED, click, to_bytes

if TYPE_CHECKING:
    from .conftest import Cloud

PREFIX = "errors/clicks/processing-failed/"


def good(number: int, **changes: Any) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0, second=0).isoformat()
    return to_bytes(click(number, clicked_at=now) | changes)


def run(cloud: Cloud, kinesis: Any = None, *, send: bool = True) -> replay.Replayed:
    kinesis = kinesis or cloud.kinesis
    return replay.replay(cloud.s3, kinesis, bucket=BUCKET, prefix=PREFIX, stream=STREAM, send=send)


def test_events_that_pass_now_are_sent_and_their_objects_deleted(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", *[good(number) for number in range(1_000)])
    cloud.keep(f"{PREFIX}two", good(1_000))
    cloud.calls.clear()
    done = run(cloud)
    assert (done.sent, done.kept) == (1_001, [])
    sent = {json.loads(event)["click_id"] for event in cloud.events()}
    assert sent == {f"click-{number}" for number in range(1_001)}
    assert cloud.kept() == {}
    # Two calls for a thousand clicks, one for the other, and two an object.
    counts = {"ListObjectsV2": 1, "GetObject": 2, "PutRecords": 3, "DeleteObject": 2}
    assert cloud.calls == counts


def test_events_that_would_fail_again_stay_where_they_are(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}mixed", b"nonsense", good(1))
    cloud.keep(f"{PREFIX}bad", b"[]")
    done = run(cloud)
    assert cloud.kept() == {f"{PREFIX}bad": [b"[]"], f"{PREFIX}mixed": [b"nonsense"]}
    assert (done.sent, sorted(done.kept)) == (1, [f"{PREFIX}bad", f"{PREFIX}mixed"])
    assert run(cloud).sent == 0
    assert len(cloud.events()) == 1


def test_an_aggregated_record_comes_back_as_single_clicks(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", kpl.aggregate("k", [good(1), b"nonsense", good(2)]))
    run(cloud)
    assert len(cloud.records()) == 2
    assert cloud.kept() == {f"{PREFIX}one": [b"nonsense"]}


def test_other_failures_and_other_data_are_not_touched(cloud: Cloud) -> None:
    cloud.keep("errors/clicks/format-conversion-failed/one", good(1))
    cloud.keep("clicks/day=2026-11-21/one", good(2))
    assert run(cloud).objects == 0
    assert len(cloud.kept()) == 2


class FullKinesis:
    """A stream that accepts nothing; moto's accepts everything."""

    def put_records(self, StreamName: str, Records: list[Any]) -> dict[str, Any]:  # noqa: N803
        return {"Records": [THROTTLED] * len(Records)}


def test_nothing_is_deleted_that_the_stream_did_not_accept(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = functools.partial(Producer, give_up_after=0)
    monkeypatch.setattr(replay, "Producer", impatient)
    cloud.keep(f"{PREFIX}one", good(1), good(2))
    before = cloud.kept()
    done = run(cloud, FullKinesis())
    assert (done.sent, done.kept) == (0, [f"{PREFIX}one"])
    assert cloud.kept() == before


@pytest.mark.parametrize("between", ["\n", "", " \n\n"], ids=["lines", "none", "blank lines"])
def test_an_error_object_is_read_however_its_documents_are_separated(
    cloud: Cloud, between: str
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2), between=between)
    assert run(cloud, send=False).events == 2


def test_the_command_line_looks_first_and_sends_on_request(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), b"nonsense", good(2, user_agent="curl/8"))
    before = cloud.kept()
    replay.main([BUCKET, PREFIX, STREAM])
    looked = "3 events in 1 objects\n  bot: 1\n  not_csv: 1\n  ok: 1\n"
    assert capsys.readouterr().out == looked
    assert (cloud.kept(), cloud.records()) == (before, [])
    replay.main([BUCKET, PREFIX, STREAM, "--send"])
    assert capsys.readouterr().out == f"{looked}sent: 2; objects that stay: 1\n"


def test_events_of_one_record_that_stay_behind_stay_one_record(cloud: Cloud) -> None:
    """A record of 1 MiB may hold half a million empty events."""
    aggregate = kpl.aggregate("k", [good(1), *[b""] * 20_000])
    cloud.keep(f"{PREFIX}one", aggregate)
    assert run(cloud).sent == 1
    [left] = cloud.kept()[f"{PREFIX}one"]
    assert kpl.split(left) == [b""] * 20_000
    assert len(left) < len(aggregate)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"{", b'{"rawData": 1}', b"{}", b"[1]", b"7", b"[" * 10**5]
)
def test_an_object_that_is_not_firehoses_stops_no_other(cloud: Cloud, content: bytes) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}a", Body=content)
    cloud.keep(f"{PREFIX}b", good(1))
    done = run(cloud)
    assert (done.sent, done.unreadable) == (1, [f"{PREFIX}a"])
    assert cloud.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}a")["Body"].read() == content


def test_a_shell_without_a_region_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(SystemExit, match=r"You must specify a region\. Set AWS_REGION"):
        replay.main([BUCKET, PREFIX, STREAM])
