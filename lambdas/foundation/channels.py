"""Events → channels of AppSync Events, five a call; those that fail inside a 200 are sent again.

AWS AppSync Events developer guide, "Publish via HTTP". boto3 has no client of it.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from . import aws
from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    # An event's name, which the caller knows it by, and its JSON.
    Event = tuple[str, str]
    # Sends a body to a host; returns status and answer.
    Post = Callable[[str, bytes], tuple[int, bytes]]

MAX_EVENTS = 5
MAX_EVENT_BYTES = 240_000  # "240 KB": what is larger is dropped without an error
ATTEMPTS = 3
AT_ONCE = 8  # channels
_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?")


def channel(namespace: str, owner: str) -> str:
    """Return the channel of an owner.

    Raises:
        RefusedError: nobody could subscribe to it: a segment has 1 to 50 letters, digits or dashes.
    """
    if not _SEGMENT.fullmatch(owner):
        raise RefusedError("channel", "The owner must be 1 to 50 letters, digits or inner dashes.")
    return f"{namespace}/{owner}"


def publish(
    host: str,
    events: Mapping[str, Sequence[Event]],
    *,
    post: Post | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Publish the events of channels; return the error code of those not published, by their names.

    Those of a channel are sent in turn, but one that failed comes later than those behind it: each
    needs a number by which a client tells. An event whose answer is lost is sent twice.

    Args:
        host: Domain name of the API's HTTP endpoint.
        events: By channel; an event is at most ``MAX_EVENT_BYTES``.
        post: Sends a signed request. Default: with the function's own role.
        sleep: Waits before the next attempt. Default: ``time.sleep``.
    """
    send = functools.partial(_publish, post or signed_post, sleep, host)
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for codes in pool.map(send, events, events.values()):
            failed |= codes
    return failed


def _publish(
    post: Post, sleep: Callable[[float], None], host: str, path: str, events: Sequence[Event]
) -> dict[str, str]:
    """Publish the events of one channel until a call fails: the function's time is short."""
    failed: dict[str, str] = {}
    done = 0
    # A call has the bytes of one event at most: no quota tells how many more it may have.
    for batch in aws.batches(
        events, most=MAX_EVENTS, largest=MAX_EVENT_BYTES, size=lambda event: len(event[1].encode())
    ):
        done += len(batch)
        codes = _call(post, host, path, batch)
        for attempt in range(1, ATTEMPTS):
            if codes:
                sleep(0.1 * 2**attempt * random.random())  # noqa: S311 - jitter
                codes = _call(post, host, path, [event for event in batch if event[0] in codes])
        failed |= codes
        if len(codes) == len(batch):
            return failed | dict.fromkeys((name for name, _ in events[done:]), "BehindAFailure")
    return failed


def _call(post: Post, host: str, path: str, events: Sequence[Event]) -> dict[str, str]:
    """Publish up to five events; return the error code of those that failed, by their names."""
    body = json.dumps({"channel": path, "events": [text for _, text in events]})
    try:
        status, answer = post(host, body.encode())
    except BotoCoreError as error:
        return dict.fromkeys((name for name, _ in events), aws.code(error))
    if status != 200:
        return dict.fromkeys((name for name, _ in events), _error(status, answer))
    try:
        said = json.loads(answer)
        done = {entry["index"] for entry in said["successful"]}
        codes = {entry["index"]: str(entry.get("code", "Failed")) for entry in said["failed"]}
    except (ValueError, LookupError, TypeError):
        return dict.fromkeys((name for name, _ in events), "Unanswered")
    return {
        name: codes.get(at, "Unanswered") for at, (name, _) in enumerate(events) if at not in done
    }


def _error(status: int, answer: bytes) -> str:
    try:
        return str(json.loads(answer)["errors"][0]["errorType"])
    except (ValueError, LookupError, TypeError):
        return f"Http{status}"


def signed_post(host: str, body: bytes) -> tuple[int, bytes]:
    """Send a request that the function's role signs.

    ``AWS_ENDPOINT_URL``, which the SDKs read, is where an emulator serves every host.
    """
    credentials, http = _tools()
    url = f"{os.environ.get('AWS_ENDPOINT_URL', f'https://{host}').rstrip('/')}/event"
    headers = {"Host": host, "Content-Type": "application/json"}
    request = AWSRequest("POST", url, headers, body)
    SigV4Auth(credentials.get_frozen_credentials(), "appsync", os.environ["AWS_REGION"]).add_auth(
        request
    )
    answer = http.send(request.prepare())
    return answer.status_code, answer.content


@functools.cache
def _tools() -> tuple[Any, Any]:
    make: Any = URLLib3Session  # its types know no file and no fractions of seconds
    trusted = os.environ.get("AWS_CA_BUNDLE") or True
    return boto3.Session().get_credentials(), make(trusted, None, (1, 3), AT_ONCE)
