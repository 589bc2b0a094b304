"""An HTTP client that signs its requests for API Gateway, as a caller with AWS credentials does."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from botocore.credentials import ReadOnlyCredentials

CONNECTIONS = 64
SECONDS = (5.0, 35.0)  # to connect and to read: API Gateway answers within 29 s
# The address of an API, or of a function's URL.
_OF_AWS = re.compile(r"https?://([a-z0-9]+)\.(execute-api|lambda-url)\.[^/]+(/.*)?")


@dataclass(frozen=True)
class Answer:
    """What the server answered: header names in any case, and how many seconds it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class SignedHttp:
    """Sends requests over kept connections; safe to use from many threads.

    Args:
        credentials: Gives the credentials to sign with; asked for each request, so they may expire.
        region: Region to sign for.
        endpoint_url: Emulator that serves every ``https://{id}.execute-api...`` URL.
            Default: none, URLs are used as they are.
        certificate: File with the only certificate to trust. Default: this machine's.
    """

    def __init__(
        self,
        credentials: Callable[[], ReadOnlyCredentials],
        region: str,
        endpoint_url: str | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._credentials, self._region, self._endpoint_url = credentials, region, endpoint_url
        make: Any = URLLib3Session  # its types know no file and no fractions of seconds
        # Sends nothing twice: a scenario counts what it sent.
        self._session = make(str(certificate or "") or True, None, SECONDS, CONNECTIONS)
        self.close = self._session.close

    def get(self, url: str) -> Answer:
        """Send a signed GET request. See ``post``."""
        return self.post(url, method="GET")

    def post(
        self,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        method: str = "POST",
    ) -> Answer:
        """Send one request; redirects are not followed and nothing is retried.

        Args:
            url: The URL as the stack's outputs give it, and the path.
            body: Body to send.
            headers: Headers to send; they are signed too. Default: none.
            signed: Whether to sign with SigV4 for execute-api. Default: yes.
            method: HTTP method. Default: POST.
        """
        url = self.reachable(url)
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
        if signed:
            SigV4Auth(self._credentials(), "execute-api", self._region).add_auth(request)
        started = time.perf_counter()
        answer = self._session.send(request.prepare())
        seconds = time.perf_counter() - started
        return Answer(answer.status_code, answer.headers, answer.content, seconds)

    def reachable(self, url: str) -> str:
        """The URL where this target serves an API or a function's URL; others stay as they are."""
        match = _OF_AWS.fullmatch(url)
        if not self._endpoint_url or not match:
            return url
        return f"{self._endpoint_url}/_aws/{match[2]}/{match[1]}{match[3] or '/'}"
