"""Requests are signed as API Gateway asks for, and reach the emulator under the API's own URL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from botocore.credentials import ReadOnlyCredentials

from serverless_patterns.sandbox.signed_http import SignedHttp
from tests.sandbox.helpers import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

APIS, API = "execute-api.us-east-1", "http://127.0.0.1:1/_aws/execute-api/a1b2"
KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "secret", None)


class Echo(BaseHTTPRequestHandler):
    """Answers with the signature that it got, and tells connections apart."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("X-Got", self.headers.get("Authorization", "nothing"))
        self.send_header("X-Connection", str(self.client_address[1]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with serve(Echo) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_request_is_signed_with_its_headers(echo: str) -> None:
    started = time.monotonic()
    answer = SignedHttp(lambda: KEYS, "eu-west-1").post(f"{echo}/a?b=c", b"{}", {"X-Key": "1"})
    got = answer.headers["x-got"]
    assert got.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/execute-api/aws4_request" in got
    assert "x-key" in got
    assert answer.body == b"{}"
    assert 0 < answer.seconds < time.monotonic() - started


def test_an_unsigned_request_has_no_signature_and_redirects_are_not_followed(echo: str) -> None:
    answer = SignedHttp(lambda: KEYS, "us-east-1").post(echo, b"", signed=False)
    assert (answer.status, answer.headers["X-Got"]) == (302, "nothing")


def test_connections_are_kept_and_threads_do_not_disturb_each_other(echo: str) -> None:
    client = SignedHttp(lambda: KEYS, "us-east-1")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.post(echo, str(n).encode()), range(200)))
    assert [answer.body for answer in answers] == [str(n).encode() for n in range(200)]
    assert len({answer.headers["X-Connection"] for answer in answers}) <= 8


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        (f"https://a1b2.{APIS}.amazonaws.com/prod/orders?x=1", f"{API}/prod/orders?x=1"),
        ("http://a1b2.execute-api.localhost:4566", f"{API}/"),
        ("http://127.0.0.1:9/elsewhere", "http://127.0.0.1:9/elsewhere"),
    ],
)
def test_an_api_url_becomes_a_path_on_the_emulator(url: str, reached: str) -> None:
    assert SignedHttp(lambda: KEYS, "us-east-1", "http://127.0.0.1:1").reachable(url) == reached
    assert SignedHttp(lambda: KEYS, "us-east-1").reachable(url) == url
