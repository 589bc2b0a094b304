"""Requests are signed as API Gateway asks for, and reach the emulator under the API's own URL."""

from __future__ import annotations

import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.credentials import ReadOnlyCredentials

from serverless_patterns.sandbox.signed_http import SignedHttp

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "secret", None)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """A server that answers with the headers it got and counts its connections."""

    class Handler(http.server.BaseHTTPRequestHandler):
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

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_request_is_signed_with_its_headers(echo: str) -> None:
    answer = SignedHttp(lambda: KEYS, "eu-west-1").post(f"{echo}/a?b=c", b"{}", {"X-Key": "1"})
    got = answer.headers["x-got"]
    assert got.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/execute-api/aws4_request" in got
    assert "x-key" in got
    assert answer.body == b"{}"
    assert 0 < answer.seconds < 5


def test_an_unsigned_request_has_no_signature(echo: str) -> None:
    answer = SignedHttp(lambda: KEYS, "us-east-1").post(echo, b"", signed=False)
    assert answer.headers["X-Got"] == "nothing"


def test_redirects_are_not_followed(echo: str) -> None:
    assert SignedHttp(lambda: KEYS, "us-east-1").post(echo).status == 302


def test_connections_are_kept_and_threads_do_not_disturb_each_other(echo: str) -> None:
    client = SignedHttp(lambda: KEYS, "us-east-1")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: client.post(echo, str(n).encode()), range(200)))
    assert [answer.body for answer in answers] == [str(n).encode() for n in range(200)]
    assert len({answer.headers["X-Connection"] for answer in answers}) <= 8


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        (
            "https://a1b2.execute-api.us-east-1.amazonaws.com/prod/orders?x=1",
            "http://127.0.0.1:1/_aws/execute-api/a1b2/prod/orders?x=1",
        ),
        (
            "http://a1b2.execute-api.localhost:4566",
            "http://127.0.0.1:1/_aws/execute-api/a1b2/",
        ),
        ("http://127.0.0.1:9/elsewhere", "http://127.0.0.1:9/elsewhere"),
    ],
)
def test_an_api_url_becomes_a_path_on_the_emulator(url: str, reached: str) -> None:
    assert SignedHttp(lambda: KEYS, "us-east-1", "http://127.0.0.1:1").reachable(url) == reached
    assert SignedHttp(lambda: KEYS, "us-east-1").reachable(url) == url
