"""What becomes of bodies, pointers, uploads and orphans."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from serverless_patterns.lambdas.claim_check import announce, catalogs, catalogs_shared, uploads
from serverless_patterns.lambdas.claim_check.wire import KIND
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from tests.claim_check.handlers import BUCKET, PREFIX, catalog
from tests.claim_check.world import (
    bodies,
    deliver,
    keys,
    messages,
    pointer,
    pointing,
    received,
    swept,
)
from tests.moto_cloud import REGION, UNREACHABLE, Context, client, record

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

FORGED = {
    pointer("another", f"{PREFIX}x"): "bucket",
    pointer(BUCKET, "x"): "key",
    pointer(BUCKET, "catalogsx/x"): "key",
    pointer(BUCKET, PREFIX): "key",
    pointer(BUCKET, f"{PREFIX}../secret"): "key",
    pointer(BUCKET, f"{PREFIX}a/../../secret"): "key",
    pointer(BUCKET, f"{PREFIX}./x"): "key",
    pointer(BUCKET, f"{PREFIX}/secret"): "key",
    pointer(BUCKET, f"{PREFIX}a//x"): "key",
    pointer(BUCKET, f"{PREFIX}%2e%2e%2fsecret"): "key",
    pointer(BUCKET, f"{PREFIX}x\n"): "key",
    pointer(BUCKET, f"{PREFIX}\\secret"): "key",
    pointer(BUCKET, f"{PREFIX}{'x' * 1024}"): "key",
    pointer(BUCKET, f"{PREFIX}gone"): "payload_gone",
    pointer(BUCKET, f"{PREFIX}there"): "payload_size",
    "not JSON": "pointer",
    "[]": "pointer",
    '{"s3BucketName": "bodies"}': "pointer",
    json.dumps(["another", {"s3BucketName": BUCKET, "s3Key": f"{PREFIX}x"}]): "pointer",
    json.dumps([KIND, {"s3BucketName": BUCKET}]): "pointer",
    json.dumps([KIND, [BUCKET, f"{PREFIX}x"]]): "pointer",
    json.dumps([KIND, {"s3BucketName": BUCKET, "s3Key": 7}]): "pointer",
    json.dumps([KIND, {"s3BucketName": BUCKET, "s3Key": f"{PREFIX}x", "more": 1}]): "pointer",
    f'["{KIND}", {{"s3BucketName": "a", "s3BucketName": "{BUCKET}", "s3Key": "x"}}]': "pointer",
}


@pytest.mark.parametrize(("body", "reason"), FORGED.items(), ids=lambda text: text[-24:])
def test_a_forged_pointer_is_dead_lettered_with_its_reason_and_nothing_is_deleted(
    cloud: Cloud, body: str, reason: str
) -> None:
    for key in ("x", "secret", f"{PREFIX}there"):
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"eight...")
    assert cloud.run(catalogs.handler, pointing(body)) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == body
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == reason
    assert letter["MessageAttributes"]["ExtendedPayloadSize"]["StringValue"] == "7"
    assert len(keys()) == 3
    assert not {"DeleteObjects", "DeleteMessageBatch", "PutItem"} & {*cloud.calls}


@pytest.mark.parametrize("size", [0, -7, 2 * 1024**3 + 1])
def test_a_pointer_to_nothing_or_to_more_than_2_gb_is_refused(cloud: Cloud, size: int) -> None:
    cloud.run(catalogs.handler, pointing(pointer(BUCKET, f"{PREFIX}x"), size))
    assert cloud.reasons() == {"pointer": 1}
    assert "GetObject" not in cloud.calls


def test_a_message_without_the_attribute_is_no_pointer(cloud: Cloud) -> None:
    cloud.run(catalogs.handler, record(pointer(BUCKET, f"{PREFIX}x")))
    assert cloud.reasons() == {"field": 1}


def test_work_comes_first_then_the_message_is_deleted_then_its_body(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list", parts=3))
    cloud.requests.clear()
    assert deliver(cloud, catalogs.handler) == []
    done = ["GetObject", "TransactWriteItems", "TransactWriteItems"]
    assert [it for it, _ in cloud.requests] == [*done, "DeleteMessageBatch", "DeleteObjects"]
    assert (bodies(), keys()) == ([], [])


def test_the_body_of_a_rejected_catalog_is_kept_with_its_dead_letter(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list", parts=3).replace("31313.67", "3"))
    deliver(cloud, catalogs.handler)
    assert cloud.reasons() == {"amount": 1}
    assert len(keys()) == 1
    assert swept(older_than_seconds=-60) == 0, "its work is not done"


def test_a_second_catalog_under_an_id_is_dead_lettered_with_its_body(cloud: Cloud) -> None:
    for parts in (1, 2):
        messages(threshold=0).send(catalog("list", parts=parts))
    deliver(cloud, catalogs.handler)
    assert cloud.reasons() == {"conflict": 1}
    assert len(keys()) == 1


def test_behind_a_topic_no_consumer_deletes_a_body(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list"))
    again = received()
    for _ in range(2):
        assert cloud.run(catalogs_shared.handler, *again) == []
    assert len(keys()) == 1
    assert [item["pk"] for item in cloud.items()] == ["list"]


def test_a_body_that_s3_does_not_delete_is_left_to_the_sweep(cloud: Cloud) -> None:
    messages(threshold=0).send(catalog("list"))
    cloud.fail("DeleteObjects", UNREACHABLE)
    assert deliver(cloud, catalogs.handler) == []
    assert (bodies(), len(keys())) == ([], 1)
    assert cloud.log_lines("The sweep will delete bodies")[0]["orphans"] == 1
    assert swept() == 0, "it is young"
    assert swept(older_than_seconds=-60) == 1
    assert keys() == []


def test_a_body_without_a_message_is_swept_when_it_is_older_than_any(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    client("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}orphan", Body=b"x")
    client("s3").put_object(Bucket=BUCKET, Key="another", Body=b"x")
    assert swept(older_than_seconds=-60) == 0
    assert swept(kept_seconds=-60) == 1
    assert keys() == ["another"]
    assert '"ObjectsFound":[1.0]' in capsys.readouterr().out


def test_a_sweep_that_could_not_delete_or_finish_fails(cloud: Cloud) -> None:
    client("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}orphan", Body=b"x")
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


# Uploads


def ask(**said: Any) -> tuple[int, dict[str, Any]]:
    context: Any = Context()
    answer = uploads.handler({"body": json.dumps(said)}, context)
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
        {"content_type": "a/b"},
        {"content_type": "a/b", "size": 0},
        {"content_type": "a/b", "size": 2 * 1024**3 + 1},
        {"content_type": "a/b", "size": True},
        {"content_type": "a/b", "size": "7"},
        {"content_type": "a/b\r\nx: y", "size": 7},
        {"content_type": "A", "size": 7},
        {"content_type": "a/b", "size": 7, "key": "../x"},
    ],
)
def test_a_wrong_request_for_an_upload_gets_no_address(cloud: Cloud, said: Any) -> None:
    status, answer = ask(**said)
    assert (status, [*answer]) == (400, ["message"])
    context: Any = Context()
    assert uploads.handler({"body": None}, context)["statusCode"] == 400


def test_the_pointer_of_an_upload_is_sent_when_s3_says_that_it_is_there(cloud: Cloud) -> None:
    text = catalog("list", parts=2).encode()
    client("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}u", Body=text)
    one = {"key": f"{PREFIX}u", "eTag": "e", "size": len(text), "sequencer": "0A"}
    said = {"eventName": "ObjectCreated:Put", "eventTime": "2026-11-26T12:00:00.000Z"}
    event = said | {"s3": {"bucket": {"name": BUCKET}, "object": one}}
    test = {"Event": "s3:TestEvent", "Bucket": BUCKET}
    records = record({"Records": [event]}), record({"Records": [event]}), record(test)
    assert cloud.run(announce.handler, *records) == []
    assert len(bodies()) == 2, "S3 said it twice"
    deliver(cloud, catalogs.handler)
    assert (bodies(), keys(), cloud.letters()) == ([], [], [])
    assert sorted(item["pk"] for item in cloud.items()) == ["list", f"payload#{PREFIX}u"]
    assert os.environ["QUEUE_URL"]
