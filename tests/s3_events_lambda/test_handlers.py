"""What the handlers promise besides ``tests/lambdas``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import aws, sweeps, tables
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.s3_events_lambda import corrections, logic, price_lists, sweep
from tests.lambdas.consumers import stored
from tests.moto_cloud import UNREACHABLE, Context, client, client_error, fixture, record

from . import handlers
from .handlers import BAD, BUCKET, GOOD, event, put, records

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(handlers.cloud)
KEY = "price-lists/a.csv"


def run(cloud: Cloud, *messages: Any) -> list[str]:
    return cloud.run(price_lists.handler, *(record(message) for message in messages))


def states(cloud: Cloud, key: str = KEY) -> dict[str, str]:
    """What the table says of a key: of each version, and what counts."""
    return {item["sk"]: item["state"] for item in cloud.items() if item["pk"] == key}


def current(cloud: Cloud, key: str = KEY) -> str:
    [found] = [i["version"] for i in cloud.items() if (i["pk"], i["sk"]) == (key, "current")]
    return str(found)


def reports(cloud: Cloud) -> list[Any]:
    listed = client("s3").list_objects_v2(Bucket=BUCKET, Prefix="reports/").get("Contents", [])
    read = client("s3").get_object
    return [json.load(read(Bucket=BUCKET, Key=one["Key"])["Body"]) for one in listed]


@pytest.mark.parametrize(
    "key",
    ["a b.csv", "a+b.csv", "a%2Bb.csv", "100%.csv", "Müller & Söhne.csv", "部品🚗.csv", "é" * 512],
)
def test_a_key_is_read_as_it_was_uploaded(cloud: Cloud, key: str) -> None:
    run(cloud, records(event(**put(key))))
    assert states(cloud, key)["current"] == "read"
    assert [one["key"] for one in reports(cloud)] == [key]


def of_rule(key: str, version: str, kind: str = "Object Created", **detail: Any) -> dict[str, Any]:
    one = {"key": key, "version-id": version, "etag": "e", "sequencer": "0B"}
    said = {"bucket": {"name": BUCKET}, "object": one, **detail}
    time = "2026-11-26T12:00:00Z"
    return {"source": "aws.s3", "detail-type": kind, "time": time, "detail": said}


def test_an_event_that_came_through_eventbridge_is_the_same(cloud: Cloud) -> None:
    said = put("a+b %41.csv")  # its key is not encoded there
    run(cloud, of_rule("a+b %41.csv", said["version"]))
    assert states(cloud, "a+b %41.csv")["current"] == "read"
    marker = {"deletion-type": "Delete Marker Created"}
    run(cloud, of_rule("a+b %41.csv", "m", "Object Deleted", **marker))
    assert states(cloud, "a+b %41.csv")["current"] == "removed"


def test_the_test_event_of_s3_is_done_with(cloud: Cloud) -> None:
    assert run(cloud, {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}) == []
    assert cloud.outcomes() == {"tested": 1}
    assert (cloud.letters(), cloud.items()) == ([], [])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("together", [True, False])
def test_the_latest_upload_of_a_key_counts_in_whatever_order_events_come(
    cloud: Cloud, order: tuple[int, ...], together: bool
) -> None:
    said = [put(KEY, f"SKU-{number},1.50,EUR\n".encode()) for number in range(3)]
    # Of different lengths: 0A < 0A01 < 0B, filled up with zeros at the right.
    events = [
        event(**one, sequencer=seq) for one, seq in zip(said, ("0A", "0a01", "0B"), strict=True)
    ]
    batch = [records(events[number]) for number in order]
    for messages in [batch] if together else [[one] for one in batch]:
        assert run(cloud, *messages, *messages) == []
    assert current(cloud) == said[2]["version"]
    assert Counter(states(cloud).values()) == {"read": 4}
    assert len(reports(cloud)) == 3


def test_one_event_that_fails_in_a_message_neither_loses_nor_repeats_the_others(
    cloud: Cloud,
) -> None:
    keys = ["a.csv", "b.csv", "c.csv"]
    message = records(*(event(**put(key, f"{key[0]},1.50,EUR\n".encode())) for key in keys))
    cloud.fail("GetObject", client_error("SlowDown"))
    assert len(run(cloud, message)) == 1
    assert len(stored(cloud)) == 2
    for outcome in ("stored", "duplicate"):
        assert run(cloud, message) == []
        assert cloud.outcomes() == {outcome: 1}
    assert len(stored(cloud)) == len(set(stored(cloud))) == 3


def test_a_result_that_is_not_stored_fails_its_message_with_the_code(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = tables.Puts(failed={f"current {KEY}": "Denied"})
    monkeypatch.setattr(tables, "put_new", lambda _: puts)
    said = [records(event(**put(key))) for key in (KEY, "b.csv")]
    assert len(run(cloud, *said)) == 1
    assert cloud.log_lines("Batch")[-1]["failures"] == {"Denied": 1}


def test_once_s3_cannot_be_reached_no_other_list_is_attempted(cloud: Cloud) -> None:
    messages = [records(event(**put(key))) for key in ("a.csv", "b.csv", "c.csv")]
    calls = list[int]()
    for number in (1, 3):
        before = cloud.calls["GetObject"]
        cloud.fail("GetObject", UNREACHABLE, times=9)
        run(cloud, *messages[:number])
        failures = cloud.log_lines("Batch")[-1]["failures"]
        assert failures == {"EndpointConnectionError": number}
        calls.append(cloud.calls["GetObject"] - before)
    assert calls[0] == calls[1] > 0


def test_a_message_with_a_bad_list_and_good_ones_is_kept_and_the_good_ones_are_read(
    cloud: Cloud,
) -> None:
    message = records(event(**put("a.csv")), event(**put("bad.csv", BAD)))
    assert run(cloud, message) == []
    assert cloud.reasons() == {"amount": 1}
    assert states(cloud, "a.csv")["current"] == "read"
    assert states(cloud, "bad.csv")["current"] == "refused"


def test_a_refused_version_is_read_when_it_is_redriven_to_code_that_accepts_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = records(event(**put(KEY, BAD)))
    run(cloud, message)
    monkeypatch.setattr(logic, "read", lambda content: logic.PriceList(1, "f"))
    assert run(cloud, message) == []
    assert set(states(cloud).values()) == {"read"}


def test_a_version_that_is_gone_is_recorded_and_fails_nothing(cloud: Cloud) -> None:
    said = put(KEY)
    client("s3").delete_object(Bucket=BUCKET, Key=KEY, VersionId=said["version"])
    assert run(cloud, records(event(**said))) == []
    assert states(cloud) == {f"version#{said['version']}": "gone"}
    assert cloud.letters() == []


def test_without_versions_an_overwritten_object_is_superseded_and_a_deleted_one_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with handlers.cloud(monkeypatch, versioned=False) as cloud:
        old, deleted = put(KEY), put("price-lists/b.csv")
        new = put(KEY, b"NEW,1.50,EUR\n")
        client("s3").delete_object(Bucket=BUCKET, Key="price-lists/b.csv")
        assert run(cloud, records(event(**old)), records(event(**deleted))) == []
        assert states(cloud) == {f"version#etag-{old['etag']}": "superseded"}
        assert [*states(cloud, "price-lists/b.csv").values()] == ["gone"]
        run(cloud, records(event(**new, sequencer="0B")))
        assert current(cloud) == f"etag-{new['etag']}"


def test_a_removed_key_counts_as_removed_and_a_deleted_version_changes_nothing(
    cloud: Cloud,
) -> None:
    said = put(KEY)
    run(cloud, records(event(**said)))
    permanent = event(KEY, "older", sequencer="0B", name="ObjectRemoved:Delete")
    run(cloud, records(permanent))
    assert states(cloud)["current"] == "read"
    marker = event(KEY, "marker", sequencer="0C", name="LifecycleExpiration:DeleteMarkerCreated")
    run(cloud, records(marker))
    assert states(cloud)["current"] == "removed"
    run(cloud, records(event(**said)))
    assert states(cloud)["current"] == "removed", "the upload was earlier"


def test_an_empty_object_is_a_list_without_lines(cloud: Cloud) -> None:
    run(cloud, records(event(**put(KEY, b""))))
    [item] = [item for item in cloud.items() if "lines" in item]
    assert (item["lines"], item["state"]) == ("0", "read")


def test_an_object_that_is_too_large_is_refused_before_it_is_read(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "MAX_BYTES", len(GOOD) - 1)
    run(cloud, records(event(**put(KEY))))
    assert cloud.reasons() == {"too_large": 1}


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"A,1.50", b"A,1.50,EUR,x", b"A,1.50,XXX", b"A B,1.50,EUR", b'"A,1.50,EUR'],
)
def test_what_is_no_price_list_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError):
        logic.read(content)
    with pytest.raises(RefusedError):
        logic.read(b"A,1.50,EUR\nA,1.60,EUR\n")


@pytest.mark.parametrize(("size", "writes"), [(50, 20), (1, 1_000)])
def test_a_thousand_events_take_twenty_writes_and_one_by_one_a_thousand(
    cloud: Cloud, size: int, writes: int
) -> None:
    messages = [
        records(event(**put(f"price-lists/{number}.csv", f"S-{number},1.50,EUR\n".encode())))
        for number in range(100)
    ]
    for first in range(0, 100, size):
        assert run(cloud, *messages[first : first + size]) == []
    each_thousand = {operation: 10 * calls for operation, calls in cloud.calls.items()}
    assert each_thousand == {"GetObject": 1_000, "PutObject": 1_000, "TransactWriteItems": writes}


def call(event: Any) -> str:
    answer: Any = corrections.handler(event, Context())  # type: ignore[arg-type]
    return str(answer["status"])


def test_a_correction_is_read_once_and_every_failure_is_raised(cloud: Cloud) -> None:
    good, bad = records(event(**put("corrections/a+b.csv"))), records(event(**put("x.csv", BAD)))
    answers = [call(good) for _ in range(2)]
    assert answers == ["stored", "duplicate"]
    assert cloud.calls["TransactWriteItems"] == 3, "one, and two for a duplicate"
    assert states(cloud, "corrections/a+b.csv")["current"] == "read"
    with pytest.raises(RefusedError, match="amount"):
        call(bad)
    with pytest.raises(RefusedError, match="bucket"):
        call(records(event("k", "v", bucket="another")))
    cloud.fail("GetObject", client_error("SlowDown"))
    with pytest.raises(corrections.NotReadError, match="SlowDown"):
        call(records(event(**put("c.csv"))))


# The sweep


@dataclass(frozen=True)
class Running(Context):
    """A run that has this many milliseconds left."""

    left: int = 600_000

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return self.left


@pytest.fixture
def queue(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> str:
    url: str = client("sqs").create_queue(QueueName="events")["QueueUrl"]
    monkeypatch.setenv("QUEUE_URL", url)
    return url


def swept(left: int = 600_000, older_than: int = -60) -> int:
    found: int = sweep.handler({"older_than_seconds": older_than}, Running(left=left))["found"]  # type: ignore[arg-type]
    return found


def process(cloud: Cloud, url: str) -> int:
    """Hand the consumer all that is in the queue; return how many messages."""
    count = 0
    while (
        found := client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
    ):
        assert run(cloud, *(one["Body"] for one in found)) == []
        for one in found:
            client("sqs").delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        count += len(found)
    return count


def test_the_sweep_finds_what_no_event_announced_and_nothing_else(
    cloud: Cloud, queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [
        put(f"price-lists/ü+{number}.csv", f"S{number},1.50,EUR\n".encode()) for number in range(25)
    ]
    run(cloud, *(records(event(**one)) for one in said[10:]))
    put("elsewhere/x.csv"), put("price-lists/x.txt")
    assert swept() == 10
    assert process(cloud, queue) == 10
    assert len(stored(cloud)) == len(set(stored(cloud))) == 25
    assert swept() == 0
    lines = [json.loads(one) for one in capsys.readouterr().out.splitlines() if "_aws" in one]
    assert [(one["ObjectsFound"], one["FunctionName"]) for one in lines] == [
        ([10.0], "function"),
        ([0.0], "function"),
    ]


def test_the_sweep_finds_a_removal_and_an_upload_over_a_known_one(cloud: Cloud, queue: str) -> None:
    old = put(KEY)
    run(cloud, records(event(**old)))
    new = put(KEY, b"NEW,1.50,EUR\n")
    assert (swept(), process(cloud, queue)) == (1, 1)
    assert current(cloud) == new["version"]
    client("s3").delete_object(Bucket=BUCKET, Key=KEY)
    assert (swept(), process(cloud, queue)) == (1, 1)
    assert states(cloud)["current"] == "removed"
    run(cloud, records(event(**new, sequencer="0B")))
    assert states(cloud)["current"] == "removed", "that event was late"
    assert swept() == 0


def test_without_a_queue_the_sweep_invokes_the_function(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    by_name = {"lambda": SimpleNamespace(invoke=lambda **call: told.append(call))}
    monkeypatch.setenv("FUNCTION_ARN", "arn")
    monkeypatch.setattr(aws, "client", lambda name, **_: by_name.get(name) or client(name))
    put(KEY)
    assert swept() == 1
    [call] = told
    assert (call["FunctionName"], call["InvocationType"]) == ("arn", "Event")
    assert corrections.handler(json.loads(call["Payload"]), Context()) == {"status": "stored"}  # type: ignore[arg-type]
    assert swept() == 0


def test_a_refused_list_is_not_found_again(cloud: Cloud, queue: str) -> None:
    run(cloud, records(event(**put(KEY, BAD))))
    assert swept() == 0


def test_the_sweep_leaves_young_objects_to_their_events(cloud: Cloud, queue: str) -> None:
    put(KEY)
    assert swept(older_than=sweeps.MIN_AGE) == 0


def test_a_sweep_that_cannot_end_says_so(cloud: Cloud, queue: str) -> None:
    put(KEY)
    with pytest.raises(sweeps.UnfinishedError, match="1 objects were looked at"):
        swept(left=1_000)
    assert process(cloud, queue) == 1, "what it found was sent"


def test_the_sweep_works_without_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    with handlers.cloud(monkeypatch, versioned=False) as cloud:
        url = client("sqs").create_queue(QueueName="events")["QueueUrl"]
        monkeypatch.setenv("QUEUE_URL", url)
        put(KEY)
        assert (swept(), process(cloud, url), swept()) == (1, 1, 0)
