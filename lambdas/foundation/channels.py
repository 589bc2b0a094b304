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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    # An event's name, which the caller knows it by, and its JSON.
    Event = tuple[str, str]
    # The same, with its channel in between.
    Addressed = tuple[str, str, str]
    # Sends a body to a host and path; returns status and answer.
    Post = Callable[[str, bytes], tuple[int, bytes]]
    # Returns of so many events, from the answer of a 200, the error code of each; None: it is done.
    Read = Callable[[Any, int], Mapping[int, str | None]]

MAX_EVENTS = 5
MAX_EVENT_BYTES = 239_000  # with owner and names "240 KB"; AppSync drops what is larger silently
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


def size(text: str) -> int:
    """Return the bytes of an event as AppSync carries it: as a string in JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode())


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
    in_turn = [[(name, to, text) for name, text in own] for to, own in events.items()]
    return send(in_turn, MAX_EVENTS, functools.partial(_call, post or signed_post, host), sleep)


def send(
    in_turn: Iterable[Sequence[Addressed]],
    most: int,
    call: Callable[[Sequence[Addressed]], dict[str, str]],
    sleep: Callable[[float], None],
) -> dict[str, str]:
    """Send events, up to ``most`` a call; return the error code of those that failed."""
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for codes in pool.map(functools.partial(_send, most, call, sleep), in_turn):
            failed |= codes
    return failed


def _send(
    most: int,
    call: Callable[[Sequence[Addressed]], dict[str, str]],
    sleep: Callable[[float], None],
    events: Sequence[Addressed],
) -> dict[str, str]:
    """Send events in turn until a call fails as a whole: the function's time is short."""
    failed: dict[str, str] = {}
    done = 0
    # A call has the bytes of one event at most: no quota tells how many more it may have.
    for batch in aws.batches(
        events, most=most, largest=MAX_EVENT_BYTES, size=lambda event: size(event[2])
    ):
        done += len(batch)
        codes = call(batch)
        for attempt in range(1, ATTEMPTS):
            if codes:
                sleep(0.1 * 2**attempt * random.random())  # noqa: S311 - jitter
                codes = call([event for event in batch if event[0] in codes])
        failed |= codes
        if len(codes) == len(batch):
            return failed | dict.fromkeys((name for name, *_ in events[done:]), "BehindAFailure")
    return failed


def _call(post: Post, host: str, events: Sequence[Addressed]) -> dict[str, str]:
    """Publish up to five events of a channel; return the error code of those that failed."""
    body = {"channel": events[0][1], "events": [text for *_, text in events]}
    return ask(post, f"{host}/event", body, events, _read)


def _read(said: Any, _: int) -> dict[int, str | None]:
    failed = {entry["index"]: str(entry.get("code", "Failed")) for entry in said["failed"]}
    return {**failed, **{entry["index"]: None for entry in said["successful"]}}


def ask(
    post: Post, address: str, body: Any, events: Sequence[Addressed], read: Read
) -> dict[str, str]:
    """Send a request for some events; return the error code of those that failed."""
    names = [name for name, *_ in events]
    try:
        status, answer = post(address, json.dumps(body).encode())
    except BotoCoreError as error:
        return dict.fromkeys(names, aws.code(error))
    if status != 200:
        return dict.fromkeys(names, _error(status, answer))
    try:
        codes = read(json.loads(answer), len(names))
    except (ValueError, LookupError, TypeError, AttributeError):
        return dict.fromkeys(names, "Unanswered")
    said = {name: codes.get(at, "Unanswered") for at, name in enumerate(names)}
    return {name: code for name, code in said.items() if code}


def _error(status: int, answer: bytes) -> str:
    try:
        return str(json.loads(answer)["errors"][0]["errorType"])
    except (ValueError, LookupError, TypeError):
        return f"Http{status}"


def signed_post(address: str, body: bytes) -> tuple[int, bytes]:
    """Send a request, to a host and path, that the function's role signs.

    ``AWS_ENDPOINT_URL``, which the SDKs read, is where an emulator serves every host.
    """
    credentials, http = _tools()
    host, _, path = address.partition("/")
    url = f"{os.environ.get('AWS_ENDPOINT_URL', f'https://{host}').rstrip('/')}/{path}"
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
