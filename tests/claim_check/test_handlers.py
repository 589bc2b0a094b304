"""What becomes of bodies, pointers, uploads and orphans, also when a process crashes."""

from __future__ import annotations

import json
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from serverless_patterns.lambdas.claim_check import (
    announce,
    catalogs,
    catalogs_in_order,
    catalogs_shared,
    sweep,
    uploads,
)
from serverless_patterns.lambdas.foundation import claims
from serverless_patterns.lambdas.foundation.pointers import MAX_BYTES, Pointer
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from tests.claim_check.handlers import catalog, upload
from tests.crashes import Crashes
from tests.lambdas import large
from tests.lambdas.large import (
    BUCKET,
    PREFIX,
    bodies,
    deliver,
    keys,
    messages,
    pointing,
    received,
    without_object,
)
from tests.moto_cloud import REGION, UNREACHABLE, Context, client, fixture, record

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(large.cloud)
CONTEXT: Any = Context()
ANY_AGE = {"older_than_seconds": -60}


def swept(**event: int) -> int:
    """Run the sweep; return how many bodies it deleted."""
    return sweep.handler(event, CONTEXT)["found"]


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
    assert deliver(cloud, catalogs.handler) == []
    done = ["GetObject", "TransactWriteItems", "TransactWriteItems"]
    assert [it for it, _ in cloud.requests] == [*done, "DeleteMessageBatch", "DeleteObjects"]
    assert (bodies(), keys()) == ([], [])


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
    again = received()
    for _ in range(2):
        assert cloud.run(catalogs_shared.handler, *again) == []
    assert len(keys()) == 1
    assert [item["pk"] for item in cloud.items()] == ["list"]


def test_what_says_that_a_body_is_done_with_expires_when_no_message_can_need_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims.time, "time", lambda: 1_000_000.9)
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
        patch.setattr(sweep.bodies, "delete", lambda *_: 1)
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


@pytest.mark.parametrize("handler", [catalogs.handler, catalogs_in_order.handler])
def test_a_crash_at_any_place_leaves_no_message_without_its_body_and_no_orphan(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = handler is catalogs_in_order.handler
    group: Any = {"group_id": "supplier"} if fifo else {}
    places: list[str] = []
    for at in count(1):
        with monkeypatch.context() as patch, large.cloud(patch, fifo=fifo) as made:
            bare: list[str] = []
            crashes = Crashes(at, lambda bare=bare: bare.extend(without_object()))  # type: ignore[misc]
            made.faults.append(crashes)
            crashes.until(partial(messages(threshold=0).send, catalog("list", parts=2), **group))
            crashes.until(partial(deliver, made, handler), lambda: not bodies())
            crashes.until(partial(swept, **ANY_AGE))
            # What is left is of a sender that crashed, and no message needs it.
            crashes.until(partial(swept, **ANY_AGE, kept_seconds=-60), lambda: not keys())
            made.faults.clear()
            assert (bare, made.letters()) == ([], []), crashes.crashed
            stored = [item["pk"] for item in made.items() if not item["pk"].startswith("payload#")]
            assert stored == ["list"], crashes.crashed
        if not crashes.crashed:
            break
        places.append(crashes.crashed)
    calls = {"PutObject", "SendMessage", "GetObject", "TransactWriteItems"}
    calls |= {"DeleteMessageBatch", "DeleteObjects", "ListObjectVersions"}
    assert {f"{when} {call}" for when in ("before", "after") for call in calls} <= {*places}


def test_a_crash_of_the_announcer_sends_the_pointer_again_and_the_body_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, key = catalog("list", parts=2), f"{PREFIX}uploaded"
    event = record(upload("uploaded", len(text)))
    for at in (1, 2, 3):
        with monkeypatch.context() as patch, large.cloud(patch) as made:
            put(key, text.encode())
            crashes = Crashes(at)
            made.faults.append(crashes)
            crashes.until(partial(made.run, announce.handler, event))
            sent = len(bodies())
            made.faults.clear()
            crashes.until(partial(deliver, made, catalogs.handler), lambda: not bodies())
            assert sent == (2 if crashes.crashed == "after SendMessageBatch" else 1)
            assert sorted(item["pk"] for item in made.items()) == ["list", f"payload#{key}"]
            assert (keys(), made.letters()) == ([], [])


# Uploads


def ask(**said: Any) -> tuple[int, dict[str, Any]]:
    answer = uploads.handler({"body": json.dumps(said)}, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def test_an_upload_is_bound_to_its_size_its_type_and_a_free_key(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    status, said = ask(content_type="application/json", size=1234)
    url = urlsplit(said["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (status, said["method"]) == (201, "PUT")
    assert url.hostname == f"{BUCKET}.s3.{REGION}.amazonaws.com"
    assert url.path == f"/{PREFIX}{said['upload_id']}"
    assert query["X-Amz-Expires"] == str(uploads.SECONDS)
    signed = {"content-length", "content-type", "if-none-match"}
    assert {*query["X-Amz-SignedHeaders"].split(";")} == signed | {"host"}
    assert {name.lower() for name in said["headers"]} == signed

    def signature(**changed: str) -> str:
        """Sign the request again, as S3 does to compare."""
        request: Any = AWSRequest("PUT", said["url"].partition("?")[0])
        for name, value in (said["headers"] | changed).items():
            request.headers[name] = value
        request.context["timestamp"] = query["X-Amz-Date"]
        auth: Any = S3SigV4QueryAuth(Credentials("made-up", "made-up"), "s3", REGION, 900)
        auth._modify_request_before_signing(request)
        canonical = auth.canonical_request(request)
        return str(auth.signature(auth.string_to_sign(request, canonical), request))

    assert signature() == query["X-Amz-Signature"]
    for changed in ({"Content-Length": "1235"}, {"Content-Type": "text/html"}):
        assert signature(**changed) != query["X-Amz-Signature"]


@pytest.mark.parametrize(
    "said",
    [
        *({"size": size} for size in (0, MAX_BYTES + 1, True, "7")),
        *({"content_type": kind} for kind in ("a/b\r\nx: y", "A")),
        {"key": "../x"},
    ],
)
def test_a_wrong_request_for_an_upload_gets_no_address(cloud: Cloud, said: Any) -> None:
    status, answer = ask(**{"content_type": "a/b", "size": 7} | said)
    assert (status, [*answer]) == (400, ["message"])
    assert ask(content_type="a/b")[0] == uploads.handler({"body": None}, CONTEXT)["statusCode"]


def test_the_pointer_of_an_upload_is_sent_when_s3_says_that_it_is_there(cloud: Cloud) -> None:
    text = catalog("list", parts=2).encode()
    put(f"{PREFIX}u", text)
    event, test = upload("u", len(text)), {"Event": "s3:TestEvent", "Bucket": BUCKET}
    assert cloud.run(announce.handler, record(event), record(event), record(test)) == []
    assert len(bodies()) == 2, "S3 said it twice"
    deliver(cloud, catalogs.handler)
    assert (bodies(), keys(), cloud.letters()) == ([], [], [])
    assert sorted(item["pk"] for item in cloud.items()) == ["list", f"payload#{PREFIX}u"]


def test_a_thousand_uploads_are_announced_in_a_hundred_calls(cloud: Cloud) -> None:
    for batch in range(20):  # of 50, as the demo stack has them
        events = [record(upload(f"{batch}-{number}", 7)) for number in range(50)]
        assert cloud.run(announce.handler, *events) == []
    assert cloud.calls == {"SendMessageBatch": 100}
    assert len({*bodies()}) == 1000
