"""The redrive of error objects sends what failed once more, and deletes only what is accepted."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.kinesis_firehose_s3.logic import why_it_would_fail
from serverless_patterns.redrive import records
from serverless_patterns.redrive.firehose import TRANSFORMED, ToFirehose
from serverless_patterns.redrive.journal import Journal
from serverless_patterns.redrive.run import RETURNED, Redrive, Report
from serverless_patterns.redrive.sources import Bucket

from .conftest import BUCKET, NOW, STREAM, THROTTLED, click, to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Cloud

PREFIX = "errors/clicks/processing-failed/"
ARN = f"arn:aws:kinesis:eu-west-1:123456789012:stream/{STREAM}"


def good(number: int, **changes: Any) -> bytes:
    return to_bytes(click(number) | changes)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clicks be of today."""
    clock = Mock(now=lambda _: NOW, fromisoformat=type(NOW).fromisoformat)
    monkeypatch.setattr("serverless_patterns.lambdas.kinesis_firehose_s3.logic.datetime", clock)


def run(cloud: Cloud, kinesis: Any = None, *, fed: bool = True, **options: Any) -> Report:
    """Redrive the error objects, at once."""
    source = {"KinesisStreamSourceDescription": {"KinesisStreamARN": ARN}} if fed else {}
    firehose = options.pop("firehose", Mock())
    about = {"DeliveryStreamDescription": {"Source": source}}
    firehose.describe_delivery_stream.return_value = about
    clients = {"kinesis": kinesis or cloud.kinesis, "firehose": firehose}
    way = ToFirehose(clients.__getitem__, "delivery", give_up_after=0)
    tool = Redrive(way, 10_000, **{"would_fail": why_it_would_fail} | options)
    tool._started += 60  # moto's S3 tells the time in whole seconds
    return tool.run([Bucket(cloud.s3, BUCKET, PREFIX)])


def test_events_that_pass_now_are_sent_and_their_objects_deleted(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", *[good(number) for number in range(1_000)])
    cloud.keep(f"{PREFIX}two", good(1_000))
    cloud.calls.clear()
    done = run(cloud)
    assert (done.accepted, done.good) == (1_001, True)
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
    assert (done.accepted, done.good) == (1, False)
    assert run(cloud).accepted == 0
    assert len(cloud.events()) == 1


def test_a_look_says_what_would_pass_and_why_the_rest_would_not_and_changes_nothing(
    cloud: Cloud,
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), b"nonsense", good(2, user_agent="curl/8"))
    before = cloud.kept()
    looked = run(cloud, dry_run=True)
    assert (looked.matched, looked.kept) == (2, {"would fail again: not_csv": 1})
    assert (cloud.kept(), cloud.records()) == (before, [])


def test_a_check_that_raises_says_that_the_event_would_fail(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", b"{")
    tool = Redrive(Mock(), would_fail=json.loads)
    tool._started += 60
    kept = {"would fail again: JSONDecodeError": 1}
    assert tool.run([Bucket(cloud.s3, BUCKET, PREFIX)]).kept == kept


def test_an_aggregated_record_comes_back_as_single_clicks(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", kpl.aggregate("k", [good(1), b"nonsense", good(2)]))
    run(cloud)
    assert len(cloud.records()) == 2
    assert cloud.kept() == {f"{PREFIX}one": [b"nonsense"]}


def test_events_of_one_record_that_stay_behind_stay_one_record(cloud: Cloud) -> None:
    """A record of 1 MiB may hold half a million empty events."""
    aggregate = kpl.aggregate("k", [good(1), *[b""] * 20_000])
    cloud.keep(f"{PREFIX}one", aggregate)
    assert run(cloud).accepted == 1
    [left] = cloud.kept()[f"{PREFIX}one"]
    assert kpl.split(left) == [b""] * 20_000
    assert len(left) < len(aggregate)


def test_other_failures_and_other_data_are_not_touched(cloud: Cloud) -> None:
    cloud.keep("errors/clicks/format-conversion-failed/one", good(1))
    cloud.keep("clicks/day=2026-11-21/one", good(2))
    assert run(cloud).found == 0
    assert len(cloud.kept()) == 2


@pytest.mark.parametrize(
    "more", [{"dataCatalogTable": {}}, {"errorCode": "DataFormatConversion.X"}]
)
def test_what_was_transformed_already_stays(cloud: Cloud, more: dict[str, Any]) -> None:
    document = {"attemptsMade": 1, "rawData": "YQ==", "ErrorMessage": "no column"} | more
    cloud.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}one", Body=json.dumps(document))
    assert run(cloud, would_fail=None).kept == {TRANSFORMED: 1}
    assert len(cloud.kept()) == 1


class FullKinesis:
    """A stream that accepts nothing; moto's accepts everything."""

    def put_records(self, StreamName: str, Records: list[Any]) -> dict[str, Any]:  # noqa: N803
        return {"Records": [THROTTLED] * len(Records)}


def test_nothing_is_deleted_that_the_stream_did_not_accept(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2))
    before = cloud.kept()
    done = run(cloud, FullKinesis())
    assert (done.accepted, done.kept) == (0, {THROTTLED["ErrorCode"]: 2})
    assert cloud.kept() == before


def test_records_that_were_put_directly_go_to_the_delivery_stream(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2))
    firehose = Mock()
    refused = {"ErrorCode": "ServiceUnavailableException"}
    firehose.put_record_batch.return_value = {"RequestResponses": [{"RecordId": "r"}, refused]}
    assert run(cloud, fed=False, firehose=firehose).accepted == 1
    firehose.put_record_batch.assert_called_once_with(
        DeliveryStreamName="delivery", Records=[{"Data": good(1)}, {"Data": good(2)}]
    )
    assert cloud.kept() == {f"{PREFIX}one": [good(2)]}


def test_a_run_that_died_before_it_wrote_the_rest_sends_nothing_twice(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), b"nonsense", good(2))
    with monkeypatch.context() as dies:
        dies.setattr(Bucket, "release", lambda _: None)
        run(cloud, journal=Journal(tmp_path / "j"))
    assert len(cloud.events()) == 2
    done = run(cloud, journal=Journal(tmp_path / "j"))
    assert (done.resumed, done.accepted, len(cloud.events())) == (2, 0, 2)
    assert cloud.kept() == {f"{PREFIX}one": [b"nonsense"]}


def test_an_event_that_fails_once_more_is_recognized(cloud: Cloud, tmp_path: Path) -> None:
    raw = base64.b64encode(kpl.aggregate("k", [good(1), good(2)])).decode()
    for at in (1, 2):
        document = {"attemptsMade": at, "arrivalTimestamp": at, "rawData": raw}
        cloud.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}{at}", Body=json.dumps(document))
        done = run(cloud, journal=Journal(tmp_path / "j"))
    assert (done.accepted, done.kept) == (0, {RETURNED: 2})


@pytest.mark.parametrize("between", ["\n", "", " \n\n"], ids=["lines", "none", "blank lines"])
def test_an_error_object_is_read_however_its_documents_are_separated(
    cloud: Cloud, between: str
) -> None:
    cloud.keep(f"{PREFIX}one", good(1), good(2), between=between)
    assert run(cloud, dry_run=True).matched == 2


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"{", b'{"rawData": 1}', b"{}", b"[1]", b"7", b"[" * 10**5, b""]
)
def test_an_object_that_is_not_firehoses_stops_no_other(cloud: Cloud, content: bytes) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}a", Body=content)
    cloud.keep(f"{PREFIX}b", good(1))
    done = run(cloud)
    assert (done.accepted, done.found) == (1, 2)
    assert cloud.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}a")["Body"].read() == content


def test_an_event_is_looked_at_as_it_was_sent(cloud: Cloud) -> None:
    cloud.keep(f"{PREFIX}one", b"nonsense")
    [[letter]] = [some for some in Bucket(cloud.s3, BUCKET, PREFIX).batches() if some]
    assert (records.kind(letter), records.event(letter)) == (records.FIREHOSE, b"nonsense")
    assert re.fullmatch(rf"{PREFIX}one#[0-9a-f]{{8}}-0", letter.id)
