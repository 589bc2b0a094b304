"""What becomes of bodies, pointers, uploads and orphans, also when a process crashes."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.claim_check import announce, catalogs, catalogs_in_order
from serverless_patterns.lambdas.claim_check import catalogs_shared as shared
from serverless_patterns.lambdas.foundation import claims
from serverless_patterns.lambdas.foundation.pointers import MAX_BYTES, Pointer
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from tests.claim_check.handlers import catalog, upload
from tests.crashes import Crashes
from tests.lambdas import large
from tests.lambdas.large import BUCKET, PREFIX, bodies, deliver, keys, messages, pointing
from tests.moto_cloud import UNREACHABLE, Context, client, fixture, record

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(large.cloud)
CONTEXT: Any = Context()
ANY_AGE = {"older_than_seconds": -60}


def swept(**event: int) -> int:
    """Run the sweep; return how many bodies it deleted."""
    return int(claims.sweep(event, CONTEXT)["found"])


def put(key: str, body: bytes = b"x") -> None:
    client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (Pointer("another", f"{PREFIX}x", 7), "bucket"),
        (Pointer(BUCKET, f"{PREFIX}../secret", 7), "key"),
        (Pointer(BUCKET, f"{PREFIX}there", 7), "payload_size"),
        (Pointer(BUCKET, f"{PREFIX}gone", 7), "payload_gone"),
        ("[]", "pointer"),
    ],
)
def test_a_forged_pointer_is_dead_lettered_with_its_reason_and_nothing_is_deleted(
    cloud: Cloud, told: Any, reason: str
) -> None:
    for key in ("secret", f"{PREFIX}there"):
        put(key, b"eight...")
    assert cloud.run(catalogs.handler, forged := pointing(told)) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == forged["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == reason
    assert letter["MessageAttributes"]["ExtendedPayloadSize"]["StringValue"] == "7"
    assert len(keys()) == 2
    assert not {"DeleteObjects", "DeleteMessageBatch", "PutItem"} & {*cloud.calls}


def test_work_comes_first_then_the_message_is_deleted_then_its_body(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list", parts=3))
    cloud.requests.clear()
    again = large.received()
    assert deliver(cloud, catalogs.handler) == []
    done = ["GetObject", "TransactWriteItems", "TransactWriteItems"]
    assert [it for it, _ in cloud.requests] == [*done, "DeleteMessageBatch", "DeleteObjects"]
    assert (bodies(), keys()) == ([], [])
    cloud.run(catalogs.handler, *again)  # as SQS does at times
    assert (cloud.outcomes(), cloud.letters()) == ({"duplicate": 1}, [])
    assert '"ConsistentRead": true' in dict(cloud.requests)["GetItem"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([catalog("list", parts=3).replace("31313.67", "3")], "amount"),
        ([catalog("list", parts=1), catalog("list", parts=2)], "conflict"),
    ],
)
def test_the_body_of_a_rejected_catalog_is_kept_with_its_dead_letter(
    cloud: Cloud, sent: list[str], reason: str
) -> None:
    for body in sent:
        messages(threshold=0).send(body)
    deliver(cloud, catalogs.handler)
    assert cloud.reasons() == {reason: 1}
    assert len(keys()) == 1
    assert swept(**ANY_AGE) == 0, "its work is not done"


def test_behind_a_topic_no_consumer_deletes_a_body(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list"))
    again = large.received()
    for _ in range(2):
        assert cloud.run(shared.handler, *again) == []
    assert len(keys()) == 1
    assert [item["pk"] for item in cloud.items()] == ["list"]


def test_what_says_that_a_body_is_done_with_expires_when_no_message_can_need_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.9)
    messages(threshold=0).send(catalog("list"))
    deliver(cloud, catalogs.handler)
    (mark,) = [item for item in cloud.items() if item["pk"].startswith("payload#")]
    assert mark["expires_at"] == str(1_000_000 + 86_400), "KEPT_SECONDS"


def test_a_message_that_could_not_be_deleted_keeps_its_body_and_is_done_with_next_time(
    cloud: Cloud,
) -> None:
    messages(threshold=0).send(catalog("list"))
    gone = client("sqs").exceptions.ReceiptHandleIsInvalid
    cloud.fail("DeleteMessageBatch", gone({"Error": {"Code": "Invalid"}}, "DeleteMessageBatch"))
    assert len(deliver(cloud, catalogs.handler)) == 1
    assert len(keys()) == len(bodies()) == 1
    assert deliver(cloud, catalogs.handler) == []
    assert (keys(), bodies()) == ([], [])


def test_a_body_that_s3_does_not_delete_is_left_to_the_sweep(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list"))
    cloud.fail("DeleteObjects", UNREACHABLE)
    assert deliver(cloud, catalogs.handler) == []
    assert (bodies(), len(keys())) == ([], 1)
    assert cloud.log_lines("The sweep will delete bodies")[0]["orphans"] == 1
    assert swept() == 0, "it is young"
    assert swept(**ANY_AGE) == 1
    assert keys() == []


def test_a_body_without_a_message_is_swept_when_it_is_older_than_any(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in (f"{PREFIX}orphan", "another"):
        put(key)
    assert swept(**ANY_AGE) == 0
    assert swept(kept_seconds=-60) == 1
    assert keys() == ["another"]
    assert '"ObjectsFound":[1.0]' in capsys.readouterr().out


def test_a_sweep_that_could_not_delete_or_finish_fails(cloud: Cloud) -> None:
    put(f"{PREFIX}orphan")
    with cloud.monkeypatch.context() as patch:
        patch.setattr(f"{claims.__name__}.bodies.delete", lambda *_: 1)
        with pytest.raises(UnfinishedError, match="did not delete"):
            swept(kept_seconds=-60)
    cloud.monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda *_: 0)
    with pytest.raises(UnfinishedError, match="there are more"):
        swept()


def test_bodies_cost_a_third_of_the_calls_of_one_by_one(cloud: Cloud) -> None:
    """Forty, in batches of 10, the least that Lambda makes of them; 1,000 cost 25 times as much."""
    for number in range(40):
        messages(threshold=0).send(catalog(f"list-{number}"))
    cloud.calls.clear()
    while bodies():
        deliver(cloud, catalogs.handler)
    one_by_one = 40 * 5  # GetObject, two writes, DeleteMessage, DeleteObject
    assert sum(cloud.calls.values()) == 40 + 4 * 4 < one_by_one / 3


# Crashes


@pytest.mark.parametrize("way", ["sent", "sent in order", "uploaded"])
def test_a_crash_at_any_place_leaves_no_message_without_its_body_and_no_orphan(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo, text, places = way == "sent in order", catalog("list", parts=2), set[str]()
    for at in count(1):
        with monkeypatch.context() as patch, large.cloud(patch, fifo=fifo) as made:
            bare: list[str] = []
            crashes = Crashes(at, lambda bare=bare: bare.extend(large.without_object()))  # type: ignore[misc]
            group: Any = {"group_id": "supplier"} if fifo else {}
            send: Any = partial(messages(threshold=0).send, text, **group)
            if way == "uploaded":
                put(f"{PREFIX}list", text.encode())
                send = partial(made.run, announce.handler, record(upload("list", len(text))))
            made.faults.append(crashes)
            crashes.until(send)
            read = catalogs_in_order.handler if fifo else catalogs.handler
            crashes.until(partial(deliver, made, read), lambda: not bodies())
            crashes.until(partial(swept, **ANY_AGE))
            # What is left is of a sender that crashed, and no message needs it.
            crashes.until(partial(swept, **ANY_AGE, kept_seconds=-60), lambda: not keys())
            made.faults.clear()
            assert (bare, made.letters()) == ([], []), crashes.crashed
            stored = [item["pk"] for item in made.items() if not item["pk"].startswith("payload#")]
            assert stored == ["list"], crashes.crashed
        if not crashes.crashed:
            break
        places.add(crashes.crashed)
    calls = {"SendMessageBatch"} if way == "uploaded" else {"PutObject", "SendMessage"}
    calls |= {"GetObject", "TransactWriteItems", "DeleteMessageBatch", "DeleteObjects"}
    calls |= {"ListObjectVersions"}
    assert {f"{when} {call}" for when in ("before", "after") for call in calls} <= places


# Uploads


def test_the_pointer_of_an_upload_is_sent_when_s3_says_that_it_is_there(cloud: Cloud) -> None:
    text = catalog("list", parts=2).encode()
    put(f"{PREFIX}u", text)
    event, test = upload("u", len(text)), {"Event": "s3:TestEvent", "Bucket": BUCKET}
    wrong = [record(upload("u", size)) for size in (0, MAX_BYTES + 1)]
    assert cloud.run(announce.handler, *wrong) == []
    assert cloud.reasons() == {"event": 2}
    assert cloud.run(announce.handler, record(event), record(event), record(test)) == []
    assert len(bodies()) == 2, "S3 said it twice"
    deliver(cloud, catalogs.handler)
    assert (bodies(), keys(), cloud.letters()) == ([], [], [])
    assert sorted(item["pk"] for item in cloud.items()) == ["list", f"payload#{PREFIX}u"]


def test_a_thousand_uploads_are_announced_in_a_hundred_calls(cloud: Cloud) -> None:
    taken: list[str] = []

    def take(_: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        taken.extend(one["MessageBody"] for one in sent["Entries"])
        return 200, {"Successful": []}

    cloud.fakes["sqs"] = take
    for batch in range(20):  # of 50, as the demo stack has them
        events = [record(upload(f"{batch}-{number}", 7)) for number in range(50)]
        assert cloud.run(announce.handler, *events) == []
    assert cloud.calls == {"SendMessageBatch": 100}
    assert len({*taken}) == 1000
