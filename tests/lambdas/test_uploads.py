"""The front that clients ask where to upload to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from serverless_patterns.lambdas.foundation import uploads
from serverless_patterns.lambdas.foundation.pointers import MAX_BYTES
from tests.lambdas import large
from tests.lambdas.large import BUCKET, PREFIX
from tests.moto_cloud import REGION, Context, fixture

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(large.cloud)
CONTEXT: Any = Context()


def ask(**said: Any) -> tuple[int, dict[str, Any]]:
    answer = uploads.handler({"body": json.dumps(said)}, CONTEXT)
    kept = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert answer["headers"] == kept, "nobody but the client has the address"
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
