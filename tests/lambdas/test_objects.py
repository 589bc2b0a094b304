"""What events of S3 say, by either way; and events for what no event announced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import aws, objects, sweeps
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.objects import ObjectEvent
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import Context, record
from tests.s3_events_lambda.handlers import BUCKET, event, records

AT = 1_795_694_400_000  # 2026-11-26 12:00 UTC
WIDE = "0A".ljust(64, "0")


def of_rule(kind: str = "Object Created", of: Any = None, **detail: Any) -> dict[str, Any]:
    one = {"key": "a b%41", "version-id": "v", "etag": "e", "sequencer": "0a"} if of is None else of
    said = {"bucket": {"name": BUCKET}, "object": one, **detail}
    return {"source": "aws.s3", "detail-type": kind, "time": "2026-11-26T12:00:00Z", "detail": said}


def read(body: Any) -> ObjectEvent:
    [found] = objects.parse(Message.of(record(body)), BUCKET)
    return found


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (records(event("a b", "v", "e")),
         ObjectEvent("ObjectCreated", "Put", BUCKET, "a b", "v", "e", AT, WIDE)),
        (records(event("a", etag="e", sequencer=None)),
         ObjectEvent("ObjectCreated", "Put", BUCKET, "a", "", "e", AT, None)),
        (records(event("a", name="s3:ObjectRemoved:Delete")),
         ObjectEvent("ObjectRemoved", "Delete", BUCKET, "a", "", "", AT, WIDE)),
        (records(event("a", name="LifecycleExpiration:Delete")),
         ObjectEvent("ObjectRemoved", "Delete", BUCKET, "a", "", "", AT, WIDE)),
        (of_rule(), ObjectEvent("ObjectCreated", "", BUCKET, "a b%41", "v", "e", AT, WIDE)),
        (of_rule("Object Deleted", {"key": "a"}, **{"deletion-type": "Delete Marker Created"}),
         ObjectEvent("ObjectRemoved", "DeleteMarkerCreated", BUCKET, "a", "", "", AT, None)),
        (of_rule("Object Tags Added"),
         ObjectEvent("Object Tags Added", "", BUCKET, "a b%41", "v", "e", AT, WIDE)),
    ],
)  # fmt: skip
def test_an_event_is_read_whole_by_either_way(body: Any, said: ObjectEvent) -> None:
    assert read(body) == said


@pytest.mark.parametrize(
    ("one", "is_possible"),
    [
        ({"key": "k" * 1024, "etag": "e"}, True),
        ({"key": "k" * 1025, "etag": "e"}, False),
        ({"key": "é" * 512, "etag": "e"}, True),
        ({"key": "é" * 513, "etag": "e"}, False),
        ({"key": "", "etag": "e"}, False),
        ({"key": "k", "etag": "e" * 512}, True),
        ({"key": "k", "etag": "e" * 513}, False),
        ({"key": "k", "version-id": "v" * 512}, True),
        ({"key": "k", "version-id": "a b"}, False),
        ({"key": "k", "version-id": 7}, False),
        ({"key": "k"}, False),
    ],
)
def test_only_an_object_that_s3_can_have_is_asked_for(
    one: dict[str, Any], is_possible: bool
) -> None:
    if is_possible:
        assert read(of_rule(of=one)).key == one["key"]
        return
    with pytest.raises(RefusedError) as refused:
        read(of_rule(of=one))
    assert refused.value.reason == "event"
    assert refused.value.detail == "The body names an object that S3 cannot have."


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        ([], "event", "The body is not an event of S3."),
        (records(event("k", "v", bucket="another")), "bucket", "The event is of another bucket."),
        (of_rule(of={"key": "k", "etag": "e", "sequencer": "x"}), "event",
         "The body is not an event of S3."),
        (of_rule(of={"key": "k", "etag": "e", "sequencer": "0" * 65}), "event",
         "The body is not an event of S3."),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_a_sentence(body: Any, reason: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)
    assert (refused.value.reason, refused.value.detail) == (reason, said)


@pytest.mark.parametrize(
    "body",
    [
        {"Records": "x"},
        {"Records": [{"eventName": 1}]},
        records(event("k", "v", sequencer="no hex")),
        records(event("k", "v", at="yesterday")),
        records(event("k" * 1025, "v")),
        records(event("k", "a version")),
        records(event("k")),
        {"Event": "another"},
    ],
    ids=str,
)
def test_what_is_no_event_of_the_bucket_is_refused(body: Any) -> None:
    with pytest.raises(RefusedError) as refused:
        read(body)
    assert refused.value.reason == "event"


def test_a_key_that_is_not_utf_8_is_refused() -> None:
    one = event("k", "v")
    one["s3"]["object"]["key"] = "%FF"
    with pytest.raises(RefusedError, match="event: The body is not an event of S3"):
        read(records(one))


def test_sequencers_compare_as_text_filled_up_at_the_right() -> None:
    assert objects.sequence("0a") == WIDE
    assert objects.sequence("f" * 64) == "F" * 64
    assert objects.sequence(None) is None


def test_an_upload_is_known_by_its_version_or_else_by_its_content() -> None:
    assert read(of_rule()).id == "v"
    assert read(of_rule(of={"key": "k", "etag": "e"})).id == "etag-e"


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"Key": "a b/ü", "VersionId": "v", "ETag": '"e"'},
         ObjectEvent("ObjectCreated", "Sweep", BUCKET, "a b/ü", "v", "e", AT, None)),
        ({"Key": "a", "VersionId": "null", "ETag": '"e"'},
         ObjectEvent("ObjectCreated", "Sweep", BUCKET, "a", "", "e", AT, None)),
        ({"Key": "a", "VersionId": "v"},
         ObjectEvent("ObjectRemoved", "DeleteMarkerCreated", BUCKET, "a", "v", "", AT, None)),
    ],
)  # fmt: skip
def test_what_a_sweep_sends_is_read_as_an_event_of_s3(
    listed: dict[str, str], said: ObjectEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET_NAME", BUCKET)
    made = sweeps._record(listed, AT / 1000)
    assert made["eventTime"] == "2026-11-26T12:00:00+00:00"
    assert read(records(made)) == said
    assert sweeps.id_of(listed) == said.id or "ETag" not in listed


class Aws:
    """A bucket with pages of versions, and a queue that fails some entries of its first calls."""

    def __init__(self, pages: list[dict[str, Any]], failing: list[str]) -> None:
        self.pages, self.failing, self.calls = pages, failing, list[list[str]]()
        self.failures = 1

    def get_paginator(self, _: str) -> Aws:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return self.pages

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        self.calls.append([entry["Id"] for entry in Entries])
        failed = self.failing if len(self.calls) <= self.failures else []
        return {"Failed": [{"Id": one, "Code": f"Busy{one}"} for one in failed]} if failed else {}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws([], [])
    monkeypatch.setattr(aws, "client", lambda *_, **__: made)
    for name in ("BUCKET_NAME", "PREFIX", "QUEUE_URL"):
        monkeypatch.setenv(name, BUCKET)
    monkeypatch.setenv("SUFFIX", ".csv")
    return made


def test_what_counts_for_each_key_is_listed_whatever_a_page_lacks(bucket: Aws) -> None:
    def one(key: str, latest: bool) -> dict[str, Any]:
        return {"Key": key, "IsLatest": latest}

    bucket.pages = [
        {},
        {"Versions": [one("a.csv", True), one("a.csv", False), one("a.txt", True)]},
        {"DeleteMarkers": [one("b.csv", True)]},
    ]
    assert [[it["Key"] for it in page] for page in sweeps.latest()] == [[], ["a.csv"], ["b.csv"]]


def test_events_are_announced_ten_a_call_and_what_failed_again(bucket: Aws) -> None:
    bucket.failing = ["3"]
    sweeps.announce(({"Key": f"{n}.csv", "VersionId": "v"} for n in range(25)), 0)
    assert bucket.calls == [
        [*map(str, range(10))],
        ["3"],
        [*map(str, range(10, 20))],
        [*map(str, range(20, 25))],
    ]


def test_what_the_queue_does_not_take_is_counted_with_its_codes(bucket: Aws) -> None:
    bucket.failing, bucket.failures = ["0", "1"], 2
    missing = [{"Key": f"{n}.csv", "VersionId": "v"} for n in range(3)]
    with pytest.raises(sweeps.UnfinishedError, match=r"did not take 2 events: Busy0, Busy1\."):
        sweeps.announce(missing, 0)


def test_items_are_read_until_the_table_has_answered_for_every_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TABLE_NAME", BUCKET)
    asked, left = list[Any](), [["b"], ["b"], []]

    class Table:
        def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803
            asked.append(RequestItems[BUCKET]["Keys"])
            unread = {BUCKET: RequestItems[BUCKET] | {"Keys": left[len(asked) - 1]}}
            found = [key for key in asked[-1] if key not in left[len(asked) - 1]]
            has_all = not left[len(asked) - 1]
            return {"Responses": {BUCKET: found}} | ({} if has_all else {"UnprocessedKeys": unread})

    monkeypatch.setattr(aws, "client", lambda *_, **__: Table())
    assert [*map(str, sweeps.items(["a", "b"], "pk"))] == ["a", "b"]
    assert asked == [["a", "b"], ["b"], ["b"]]
    asked.clear()
    left[2] = ["b"]
    with pytest.raises(sweeps.UnfinishedError, match="every key"):
        sweeps.items(["a", "b"], "pk")


def test_a_sweep_logs_and_measures_what_it_looked_at_and_found(
    bucket: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.pages, logged = [{}, {}], list[dict[str, int]]()
    monkeypatch.setattr(f"{sweeps.__name__}.logger.info", lambda _, **given: logged.append(given))
    context: Any = Context()
    found = sweeps.look(context, sweeps.latest(), lambda _: (3, 1))
    assert found == {"looked": 6, "found": 2}
    assert logged == [{"looked": 6, "found": 2}]
    said = json.loads(capsys.readouterr().out)
    assert (said["ObjectsFound"], said["FunctionName"]) == ([2.0], context.function_name)
