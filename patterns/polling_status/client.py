"""A client that waits for a job as its server asks it to; the standard library is all it needs."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
CONNECTION_SECONDS = 35  # API Gateway answers within 29


class JobError(Exception):
    """A job that will not be done.

    Args:
        job_id: Which.
        reason: The server's, ``HTTP <status>`` for a request that it rejects, or ``deadline``.
        detail: Plain sentence of the same.
    """

    def __init__(self, job_id: str, reason: str, detail: str = "") -> None:
        super().__init__(f"Job {job_id}: {reason}. {detail}".strip())
        self.job_id, self.reason, self.detail = job_id, reason, detail


class StillRunningError(JobError):
    """The job may still be done: call ``wait()`` with its id again, also from another process."""


@dataclass(frozen=True)
class Answer:
    """What a server answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Sends one request (method, URL, body, headers), such as a signed one, and follows no redirect; it
# raises OSError if there is no answer.
Send = Callable[[str, str, bytes | None, Mapping[str, str]], Answer]


class StatusClient:
    """Submits jobs, and waits for how they end.

    It asks at ``<url>/<id>``, which is what ``Location`` says, when ``Retry-After`` is over and up
    to a tenth later, so that many clients do not ask at once. What may be repeated (no answer, 429,
    5xx) is repeated, under the id of the job, which has one effect.

    Args:
        url: Where to POST jobs.
        send: Sends a request, such as one that signs it. Default: as it is.
        deadline: Seconds for a job, from the call of a method. Default: 15 minutes.

    Attributes:
        requests: How many requests it has sent.
        empty: How many of them were answered with nothing new.
    """

    def __init__(self, url: str, *, send: Send | None = None, deadline: float = 900) -> None:
        self._url, self._send, self._deadline = url.rstrip("/"), send or _send, deadline
        self.requests = self.empty = 0

    def run(self, document: Any, *, job_id: str | None = None) -> Any:
        """Submit a job and return its result. See ``submit`` and ``wait``."""
        ends = time.monotonic() + self._deadline
        job_id, asked = self._submit(document, job_id, ends)
        if asked:
            self._sleep(job_id, ends, asked)
        return self._wait(job_id, ends)

    def submit(self, document: Any, *, job_id: str | None = None) -> str:
        """Submit a job and return its id.

        Args:
            document: What to do; JSON.
            job_id: 1 to 64 letters, digits, - and _. Keep it before you call, and a job that you
                submit again after a crash is the same one. Default: a new one.

        Raises:
            JobError: the server rejects it.
            StillRunningError: it did not answer in time; it may have taken the job.
        """
        return self._submit(document, job_id, time.monotonic() + self._deadline)[0]

    def wait(self, job_id: str) -> Any:
        """Return the result of a job, once it is done.

        Raises:
            JobError: it failed, or there is no such job.
            StillRunningError: this client has waited long enough.
        """
        return self._wait(job_id, time.monotonic() + self._deadline)

    def _submit(self, document: Any, job_id: str | None, ends: float) -> tuple[str, float]:
        job_id = job_id or uuid.uuid4().hex
        headers = {"Content-Type": "application/json", "Idempotency-Key": job_id}
        body = json.dumps(document, ensure_ascii=False).encode()
        answer = self._until_answered(job_id, ends, "POST", self._url, body, headers)
        if answer.status != 202:
            raise JobError(job_id, f"HTTP {answer.status}", _said(answer).get("message", ""))
        return job_id, _seconds(answer)

    def _wait(self, job_id: str, ends: float) -> Any:
        url, pause = f"{self._url}/{job_id}", FIRST_PAUSE
        headers: dict[str, str] = {}
        while True:
            answer = self._until_answered(job_id, ends, "GET", url, None, headers)
            said = _said(answer)
            if answer.status not in (200, 304) or (answer.status == 200 and "state" not in said):
                detail = said.get("message", "The answer is no status.")
                raise JobError(job_id, f"HTTP {answer.status}", detail)
            if said.get("state") == "failed":
                raise JobError(job_id, said.get("reason", "failed"), said.get("detail", ""))
            if said.get("state") == "done":
                return said.get("result")
            if "etag" in answer.headers:
                headers = {"If-None-Match": answer.headers["etag"]}
            self.empty += 1
            pause = min(LONGEST_PAUSE, pause * 2)
            jittered = random.uniform(pause / 2, pause)  # noqa: S311
            self._sleep(job_id, ends, _seconds(answer) or jittered)

    def _until_answered(self, job_id: str, ends: float, *request: Any) -> Answer:
        pause = FIRST_PAUSE
        while True:
            self.requests += 1
            asked = 0.0
            try:
                answer = self._send(*request)
            except OSError as error:
                if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                    raise  # nothing was sent, and never will be
            else:
                if answer.status != 429 and answer.status < 500:
                    return answer
                asked = _seconds(answer)
            self._sleep(job_id, ends, max(asked, random.uniform(0, pause)))  # noqa: S311
            pause = min(LONGEST_PAUSE, pause * 2)

    def _sleep(self, job_id: str, ends: float, seconds: float) -> None:
        """Wait, and up to a tenth longer; until the end at most, for a last look."""
        left = ends - time.monotonic()
        if left <= 0:
            detail = f"No end was seen in {self._deadline:g} s. Call wait() again."
            raise StillRunningError(job_id, "deadline", detail)
        time.sleep(min(left, seconds * random.uniform(1, 1.1)))  # noqa: S311


def _seconds(answer: Answer) -> float:
    """Return what ``Retry-After`` says; 0 if it is no number of seconds."""
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else 0.0


def _said(answer: Answer) -> dict[str, Any]:
    """Return the object in an answer; an empty one if there is none."""
    try:
        return dict(json.loads(answer.body))
    except (ValueError, TypeError):
        return {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _send(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        try:
            found = opener.open(request, timeout=CONNECTION_SECONDS)
        except urllib.error.HTTPError as error:
            found = error
        with found:
            names = {name.lower(): value for name, value in found.headers.items()}
            return Answer(found.status, names, found.read())
    except http.client.HTTPException as error:  # it is no HTTP, or broke off
        raise OSError(str(error)) from error
