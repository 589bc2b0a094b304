"""What ``StatusClient`` promises, against a server that misbehaves."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.polling_status.client import (
    JobError,
    StatusClient,
    StillRunningError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCEPTED = (202, {"Location": "jobs/any"}, {"id": "any", "state": "accepted"})
DONE = (200, {"ETag": '"done"'}, {"state": "done", "result": {"total": "7.00"}})
WAITS = (200, {"ETag": '"accepted"', "Retry-After": "3"}, {"state": "accepted"})
SAME = (304, {"ETag": '"accepted"', "Retry-After": "4"}, None)
DROPPED: tuple[int, dict[str, str], Any] = (
    0,
    {},
    None,
)  # the connection is closed without an answer


class Server:
    """Answers each request with the next of a list, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = self.rfile.read(length)
                outer.asked.append((self.command, self.path, dict(self.headers), sent))
                status, headers, body = outer.answers.pop(0)
                if not status:
                    self.close_connection = True
                    return
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/prod/jobs"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses; each only moves the clock."""
    pauses: list[float] = []
    real = time.monotonic
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(pauses))
    return pauses


def test_a_job_is_submitted_and_its_result_returned(server: Server, slept: list[float]) -> None:
    server.answers = [ACCEPTED, WAITS, SAME, DONE]
    client = StatusClient(server.url)
    assert client.run({"part": "Öl"}, job_id="job-1") == {"total": "7.00"}
    (post, *gets) = server.asked
    assert (post[0], post[1], json.loads(post[3])) == ("POST", "/prod/jobs", {"part": "Öl"})
    assert post[2]["Idempotency-Key"] == "job-1"
    assert {path for _, path, *_ in gets} == {"/prod/jobs/job-1"}
    assert (client.requests, client.empty) == (4, 2)


def test_it_asks_no_earlier_than_the_server_says_and_not_when_all_others_do(
    server: Server, slept: list[float]
) -> None:
    server.answers = [WAITS, SAME, DONE]
    StatusClient(server.url).wait("job-1")
    assert 3 < slept[0] <= 3.3
    assert 4 < slept[1] <= 4.4


def test_without_a_word_of_the_server_it_asks_later_each_time(
    server: Server, slept: list[float]
) -> None:
    bare: tuple[int, dict[str, str], Any] = (200, {}, {"state": "accepted"})
    server.answers = [bare] * 9 + [DONE]
    StatusClient(server.url).wait("job-1")
    assert slept[0] < slept[2] < slept[4]
    assert max(slept) <= 33


def test_it_names_the_state_that_it_has_seen(server: Server, slept: list[float]) -> None:
    server.answers = [WAITS, SAME, DONE]
    StatusClient(server.url).wait("job-1")
    seen = [headers.get("If-None-Match") for _, _, headers, _ in server.asked]
    assert seen == [None, '"accepted"', '"accepted"']


@pytest.mark.parametrize("trouble", [(429, {}, {}), (500, {}, {}), (503, {}, {}), DROPPED])
def test_what_may_be_repeated_is_repeated_under_the_same_id(
    server: Server, slept: list[float], trouble: Any
) -> None:
    server.answers = [trouble, trouble, ACCEPTED, trouble, DONE]
    assert StatusClient(server.url).run({}) == {"total": "7.00"}
    keys = {
        headers["Idempotency-Key"] for method, _, headers, _ in server.asked if method == "POST"
    }
    assert len(keys) == 1


def test_it_waits_as_long_as_a_server_asks_that_is_too_busy(
    server: Server, slept: list[float]
) -> None:
    server.answers = [(429, {"Retry-After": "9"}, {}), DONE]
    StatusClient(server.url).wait("job-1")
    assert 9 < slept[0] <= 9.9


def test_a_job_that_failed_is_an_error_with_its_reason(server: Server, slept: list[float]) -> None:
    server.answers = [(200, {}, {"state": "failed", "reason": "total", "detail": "It is wrong."})]
    with pytest.raises(JobError, match=r"Job job-1: total\. It is wrong\.") as error:
        StatusClient(server.url).wait("job-1")
    assert (error.value.job_id, error.value.reason) == ("job-1", "total")
    assert not isinstance(error.value, StillRunningError)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 415, 303])
def test_what_the_server_rejects_is_not_repeated(
    server: Server, slept: list[float], status: int
) -> None:
    server.answers = [(status, {"Location": server.url}, {"message": "No."})]
    with pytest.raises(JobError, match=rf"HTTP {status}\. No\."):
        StatusClient(server.url).submit({})
    assert len(server.asked) == 1


def test_it_gives_up_at_its_deadline_after_a_last_look_and_goes_on_by_the_id(
    server: Server, slept: list[float]
) -> None:
    server.answers = [ACCEPTED] + [WAITS] * 99
    client = StatusClient(server.url, deadline=60)
    with pytest.raises(StillRunningError, match="No end was seen in 60 s") as error:
        client.run({})
    assert 59 < sum(slept) <= 61
    server.answers = [DONE]
    assert StatusClient(server.url).wait(error.value.job_id) == {"total": "7.00"}


def test_an_id_is_made_for_a_job_that_has_none_and_no_two_are_the_same(
    server: Server, slept: list[float]
) -> None:
    server.answers = [ACCEPTED, ACCEPTED]
    client = StatusClient(server.url)
    assert client.submit({}) != client.submit({})


def test_an_answer_that_breaks_off_is_asked_for_again(server: Server, slept: list[float]) -> None:
    server.answers = [(200, {"Content-Length": "999"}, {"state": "done"}), DONE]
    assert StatusClient(server.url).wait("job-1") == {"total": "7.00"}


def test_an_answer_that_is_no_status_is_an_error(server: Server, slept: list[float]) -> None:
    server.answers = [(200, {}, "captive portal")]
    with pytest.raises(JobError, match="no status"):
        StatusClient(server.url).wait("job-1")


def test_a_certificate_that_is_not_trusted_is_no_reason_to_wait(slept: list[float]) -> None:
    def send(method: str, url: str, body: bytes | None, headers: Any) -> Any:
        raise urllib.error.URLError(ssl.SSLCertVerificationError("self-signed"))

    with pytest.raises(OSError, match="self-signed"):
        StatusClient("https://127.0.0.1/jobs", send=send).submit({})
    assert slept == []
