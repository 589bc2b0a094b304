"""What ``StatusClient`` promises, against a server that misbehaves."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from serverless_patterns.patterns.polling_status import client as polling
from serverless_patterns.patterns.polling_status.client import JobError, StatusClient
from tests.sandbox.helpers import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    Said = tuple[int, dict[str, str], Any]

ACCEPTED = (202, {"Retry-After": "2"}, {"id": "any", "state": "accepted"})
DONE = (200, {"ETag": '"done"'}, {"state": "done", "result": {"total": "7.00"}})
WAITS = (200, {"ETag": '"accepted"', "Retry-After": "3"}, {"state": "accepted"})
SAME = (304, {"ETag": '"accepted"', "Retry-After": "4"}, None)
DROPPED: Said = (0, {}, None)  # the connection is closed without an answer


class Server(BaseHTTPRequestHandler):
    """Answers each request with the next of a list, and keeps what it was asked."""

    url = ""
    answers: ClassVar[list[Said]]
    asked: ClassVar[list[tuple[str, str, dict[str, str], bytes]]]

    def answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, dict(self.headers), sent))
        status, headers, body = self.answers.pop(0)
        if not status:
            self.close_connection = True
            return
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer  # noqa: N815 - names of http.server


@pytest.fixture
def server() -> Iterator[Any]:
    Server.asked = []
    with serve(Server) as port:
        Server.url = f"http://127.0.0.1:{port}/prod/jobs"
        yield Server


def wait(*answers: Said) -> Any:
    Server.answers = list(answers)
    return StatusClient(Server.url).wait("job-1")


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses; each only moves the clock."""
    pauses, real = list[float](), time.monotonic
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(pauses))
    return pauses


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_job_is_submitted_and_its_result_returned(server: Any, slash: str) -> None:
    server.answers = [ACCEPTED, WAITS, SAME, DONE]
    client = StatusClient(server.url + slash)
    assert client.run({"part": "Öl"}, job_id="job-1") == {"total": "7.00"}
    (method, path, headers, body), *gets = server.asked
    assert (method, path, json.loads(body)) == ("POST", "/prod/jobs", {"part": "Öl"})
    assert headers["Idempotency-Key"] == "job-1"
    assert {path for _, path, *_ in gets} == {"/prod/jobs/job-1"}
    assert (client.requests, client.empty) == (4, 2)
    seen = [headers.get("If-None-Match") for _, _, headers, _ in gets]
    assert seen == [None, '"accepted"', '"accepted"'], "it names the state that it has seen"


def test_it_asks_no_earlier_than_the_server_says_and_not_when_all_others_do(
    server: Any, slept: list[float]
) -> None:
    server.answers = [ACCEPTED, WAITS, SAME, (429, {"Retry-After": "9"}, {}), DONE]
    StatusClient(server.url).run({})
    assert all(it < pause <= it * 1.1 for it, pause in zip([2, 3, 4, 9], slept, strict=True))


@pytest.mark.parametrize("said", [None, "0", "²", "Fri, 27 Nov 2026 05:00:00 GMT"])
def test_without_a_word_of_the_server_it_asks_later_each_time(
    server: Any, slept: list[float], said: str | None
) -> None:
    bare: Said = (200, {"Retry-After": said} if said else {}, {"state": "accepted"})
    wait(*[bare] * 9, DONE)
    assert 0.4 < slept[0] < slept[2] < slept[4]
    assert max(slept) <= 33


@pytest.mark.parametrize(
    "trouble",
    [(429, {}, {}), (500, {}, {}), (503, {}, {}), DROPPED, (200, {"Content-Length": "999"}, {})],
)
def test_what_may_be_repeated_is_repeated_under_the_same_id(server: Any, trouble: Any) -> None:
    server.answers = [trouble, trouble, ACCEPTED, trouble, DONE]
    assert StatusClient(server.url).run({}) == {"total": "7.00"}
    posts = [headers for method, _, headers, _ in server.asked if method == "POST"]
    assert len({headers["Idempotency-Key"] for headers in posts}) == 1


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (200, {"state": "failed", "reason": "total", "detail": "Wrong."}, "total", "total. Wrong."),
        (200, {"state": "failed"}, "failed", "failed"),
        (200, "captive portal", "HTTP 200", "no status"),
        (404, {"message": "No."}, "HTTP 404", "HTTP 404. No."),
    ],
)
def test_a_job_that_failed_is_an_error_with_its_reason(
    server: Any, status: int, body: Any, reason: str, words: str
) -> None:
    with pytest.raises(JobError, match=f"Job job-1: .*{words}") as error:
        wait((status, {}, body))
    assert (error.value.job_id, error.value.reason) == ("job-1", reason)
    assert not isinstance(error.value, polling.StillRunningError)


@pytest.mark.parametrize("status", [400, 403, 409, 415, 303])
def test_what_the_server_rejects_is_not_repeated(server: Any, status: int) -> None:
    server.answers = [(status, {"Location": server.url}, {"message": "No."})]
    with pytest.raises(JobError, match=rf"HTTP {status}\. No\."):
        StatusClient(server.url).submit({})
    assert len(server.asked) == 1


def test_it_gives_up_at_its_deadline_after_a_last_look_and_goes_on_by_the_id(
    server: Any, slept: list[float]
) -> None:
    server.answers = [(503, {}, None)] * 3 + [ACCEPTED] + [WAITS] * 99
    with pytest.raises(polling.StillRunningError, match="No end was seen in 60 s") as error:
        StatusClient(server.url, deadline=60).run({})
    assert 59 < sum(slept) <= 61
    server.answers = [DONE]
    assert StatusClient(server.url).wait(error.value.job_id) == {"total": "7.00"}


def test_an_id_is_made_for_a_job_that_has_none_and_no_two_are_the_same(server: Any) -> None:
    server.answers = [ACCEPTED, ACCEPTED]
    client = StatusClient(server.url)
    assert client.submit({}) != client.submit({})


def test_a_certificate_that_is_not_trusted_is_no_reason_to_wait(slept: list[float]) -> None:
    def send(*_: Any) -> Any:
        raise urllib.error.URLError(ssl.SSLCertVerificationError("self-signed"))

    with pytest.raises(OSError, match="self-signed"):
        StatusClient("https://127.0.0.1/jobs", send=send).submit({})
    assert slept == []
