"""The failed event in an invocation record or a dead letter, byte for byte.

Forms: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
A topic or an event bus in front of a queue wraps a record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_GAP = re.compile(r"[ \t\r\n,:]*")


class UnreadableError(Exception):
    """A message or an object is neither a record nor a dead letter, or has no event in it."""


@dataclass
class Letter:
    """A message of a queue, or an object of a bucket, by its message id or its key."""

    id: str
    body: str
    sent_at: float
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedEvent:
    """An event that a function could not process.

    Attributes:
        payload: The event, byte for byte as the record or the dead letter has it.
        error: Why, such as ``Sandbox.Timedout: Task timed out after 3.00 seconds``.
        request_id: Lambda's id of the event: its record and its dead letter have the same one.
        function: ARN of the function as the record tells it; a dead letter does not.
    """

    payload: bytes
    error: str
    request_id: str = ""
    function: str = ""


def read(letter: Letter) -> FailedEvent:
    """Return the failed event in a message or an object.

    Raises:
        UnreadableError: there is none.
    """
    if "RequestID" in letter.attributes:
        return _dead_letter(letter.body, letter.attributes)
    text, document = letter.body, _object(letter.body)
    if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
        given = document.get("MessageAttributes")
        given = given if isinstance(given, dict) else {}
        attributes = {name: str(value.get("Value")) for name, value in given.items()}
        text = document["Message"]
        if "RequestID" in attributes:
            return _dead_letter(text, attributes)
        document = _object(text)
    elif isinstance(document.get("detail"), dict):
        text, document = _member(text, "detail"), document["detail"]
    return _record(text, document)


def _dead_letter(body: str, attributes: Mapping[str, str]) -> FailedEvent:
    kind = attributes.get("Reason") or attributes.get("ErrorCode", "")
    message = attributes.get("ReasonDetail") or attributes.get("ErrorMessage", "")
    return FailedEvent(body.encode(), f"{kind}: {message}", attributes["RequestID"])


def _record(text: str, document: Mapping[str, Any]) -> FailedEvent:
    context = document.get("requestContext")
    if not isinstance(context, dict) or "condition" not in context:
        raise UnreadableError("neither an invocation record nor a dead letter")
    if context["condition"] == "Success":
        raise UnreadableError("a record of success")
    if "requestPayload" not in document:
        # Left out by Lambda when the record would be too large: the dead letter has the event.
        raise UnreadableError("a record without its event")
    response = document.get("responsePayload")
    response = response if isinstance(response, dict) else {}
    message = response.get("errorMessage") or response.get("message")
    kind = response.get("errorType") or ("Error" if message else context["condition"])
    return FailedEvent(
        payload=_member(text, "requestPayload").encode(),
        error=f"{kind}: {message}" if message else str(kind),
        request_id=str(context.get("requestId", "")),
        function=str(context.get("functionArn", "")),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableError("neither an invocation record nor a dead letter")
    return document


def _member(text: str, name: str) -> str:
    """Return a member of a JSON object as it is written: no number is rounded."""
    decode, found = json.JSONDecoder().raw_decode, ""
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        key, position = decode(text, position)
        start = _skip(text, position)
        _, position = decode(text, start)
        if key == name:
            found = text[start:position]
        position = _skip(text, position)
    return found


def _skip(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position
