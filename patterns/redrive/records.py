"""The failed event in an invocation record or a dead letter, byte for byte.

Forms: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
and, of what a rule could not deliver, the whole event:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html
A topic or an event bus in front of a queue wraps a record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnreadableError(Exception):
    """A message or an object is neither a record nor a dead letter, or has no event in it."""


@dataclass(frozen=True)
class FailedEvent:
    """An event that a function could not process.

    Attributes:
        payload: The event, byte for byte as the record or the dead letter has it.
        error: Why, such as ``Sandbox.Timedout: Task timed out after 3.00 seconds``.
        request_id: Lambda's id of the event: its record and its dead letter have the same one.
        function: ARN of the function as the record names it; a dead letter does not.
    """

    payload: bytes
    error: str
    request_id: str = ""
    function: str = ""


def read(body: str, attributes: Mapping[str, str]) -> FailedEvent:
    """Return the failed event in a message or an object.

    Raises:
        UnreadableError: there is none.
    """
    try:
        return _read(body, attributes)
    except (AttributeError, LookupError, RecursionError, TypeError, UnicodeError):
        raise UnreadableError("damaged") from None


def _read(body: str, attributes: Mapping[str, str]) -> FailedEvent:
    if "RequestID" in attributes:
        kind = attributes.get("Reason") or attributes.get("ErrorCode", "")
        message = attributes.get("ReasonDetail") or attributes.get("ErrorMessage", "")
        return FailedEvent(body.encode(), f"{kind}: {message}", attributes["RequestID"])
    if "RULE_ARN" in attributes:  # of an EventBridge rule whose target is the function
        kind, message = attributes.get("ERROR_CODE", ""), attributes.get("ERROR_MESSAGE", "")
        return FailedEvent(body.encode(), f"{kind}: {message}", attributes["RULE_ARN"])
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("not JSON") from None
    match document:
        case {"Type": "Notification", "Message": str(inside), "MessageAttributes": dict(given)}:
            return _read(inside, {name: str(one["Value"]) for name, one in given.items()})
        case {"Type": "Notification", "Message": str(inside)}:
            return _read(inside, {})
        case {"detail": dict()}:
            return _read(_member(body, "detail"), {})
        case {"requestContext": {"condition": "Success"}}:
            raise UnreadableError("a record of success")
        case {"requestContext": {"condition": _}, "requestPayload": _}:
            return _record(body, document)
        case {"requestContext": {"condition": _}}:
            # Left out by Lambda when the record would be too large: the dead letter has the event.
            raise UnreadableError("a record without its event")
    raise UnreadableError("neither an invocation record nor a dead letter")


def _record(text: str, document: Mapping[str, Any]) -> FailedEvent:
    context, response = document["requestContext"], document.get("responsePayload")
    response = response if isinstance(response, dict) else {}
    message = response.get("errorMessage") or response.get("message")
    kind = response.get("errorType") or ("Error" if message else context["condition"])
    return FailedEvent(
        payload=_member(text, "requestPayload").encode(),
        error=f"{kind}: {message}" if message else str(kind),
        request_id=str(context.get("requestId", "")),
        function=str(context.get("functionArn", "")),
    )


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
    """Return where the next value, or the closing bracket, is."""
    while text[position] in " \t\r\n,:":
        position += 1
    return position
