"""What a dead letter is, why it failed, and the failed event in it, byte for byte.

Forms: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
and, of what a rule could not deliver, the whole event:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html
and, of what a schedule could not deliver, the request to its target:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
A topic or an event bus in front of a queue wraps a record.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .sources import Letter

RULE, SCHEDULE, CALL, RECORD = "rule", "schedule", "function or subscription", "destination"
STREAM, SAGA, FIREHOSE, MESSAGE = "stream", "saga", "firehose", "queue"

# What Scheduler fills in, by the attribute of a dead letter that has it.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
CONTEXT = {
    "schedule-arn": "SCHEDULE_ARN",
    "scheduled-time": "SCHEDULED_TIME",
    "execution-id": "EXECUTION_ID",
    "attempt-number": "RETRY_ATTEMPTS",
}


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


def kind(letter: Letter) -> str:
    """Return what a dead letter is, by its form: who has left it, and so who can take it back."""
    if "RULE_ARN" in letter.attributes:
        return RULE
    if "SCHEDULE_ARN" in letter.attributes:
        return SCHEDULE
    match document(letter.body):
        case {"requestContext": {"functionArn": _}, "KinesisBatchInfo": dict()}:
            return STREAM
        case {"requestContext": {"functionArn": _}, "DDBStreamBatchInfo": dict()}:
            return STREAM
        case {"rawData": str(), "attemptsMade": _} | {"rawData": str(), "errorCode": _}:
            return FIREHOSE
        case {"execution": str(), "task_token": str()} | {"execution": str(), "input": _}:
            return SAGA
    if "RequestID" in letter.attributes:
        return CALL
    try:
        read(letter.body, letter.attributes)
    except UnreadableError:
        return MESSAGE
    return RECORD


def reason(letter: Letter) -> str:
    """Return why a dead letter failed, such as ``StoreError: no such table``."""
    if letter.problem:
        return letter.problem
    given, word = letter.attributes, ""
    for name, more in (
        ("Reason", "ReasonDetail"),
        ("ERROR_CODE", "ERROR_MESSAGE"),
        ("ErrorCode", "ErrorMessage"),
    ):
        if name in given:
            return f"{given[name]}: {given.get(more, '')}"
    match document(letter.body.partition("\n")[0]) or document(letter.body):
        case {"requestContext": {"reason": str(word)}} | {"error": str(word)}:
            return word
        case {"requestContext": {"condition": str(word)}, **other} if "requestPayload" not in other:
            return word
        case {"rawData": _, **said}:  # of a transformation, or of a conversion
            code = said.get("errorCode") or said.get("ErrorCode") or "Error"
            return f"{code}: {said.get('errorMessage') or said.get('ErrorMessage') or ''}"
    try:
        return read(letter.body, given).error
    except UnreadableError:
        return f"received {letter.system.get('ApproximateReceiveCount', '?')} times"


def content(letter: Letter) -> str:
    """Return what is the same each time that an event fails, to recognize it by."""
    text = letter.body
    if kind(letter) in (RECORD, SCHEDULE, CALL, RULE):
        with suppress(UnreadableError):
            text = read(text, letter.attributes).payload.decode()
    if kind(letter) == FIREHOSE:
        return str(document(text)["rawData"])
    if kind(letter) == STREAM:
        said = document(text)
        text = json.dumps(said.get("KinesisBatchInfo") or said.get("DDBStreamBatchInfo"))
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text


def event(letter: Letter) -> bytes:
    """Return the failed event in a letter; the letter's body if it has no other."""
    if kind(letter) == FIREHOSE:
        return base64.b64decode(document(letter.body)["rawData"])
    try:
        return read(letter.body, letter.attributes).payload
    except UnreadableError:
        return letter.body.encode(errors="surrogateescape")


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
    if "SCHEDULE_ARN" in attributes:
        return _of_schedule(body, attributes)
    found = document(body)
    match found:
        case None:
            raise UnreadableError("not JSON")
        case {"Type": "Notification", "Message": str(inside), "MessageAttributes": dict(given)}:
            return _read(inside, {name: str(one["Value"]) for name, one in given.items()})
        case {"Type": "Notification", "Message": str(inside)}:
            return _read(inside, {})
        case {"detail": dict()}:
            return _read(_member(body, "detail"), {})
        case {"requestContext": {"condition": "Success"}}:
            raise UnreadableError("a record of success")
        case {"requestContext": {"condition": _}, "requestPayload": _}:
            return _record(body, found)
        case {"requestContext": {"condition": _}}:
            # Left out by Lambda when the record would be too large: the dead letter has the event.
            raise UnreadableError("a record without its event")
    raise UnreadableError("neither an invocation record nor a dead letter")


def _of_schedule(body: str, given: Mapping[str, str]) -> FailedEvent:
    """Return the input of a schedule, with the time of its tick, however often it is sent again.

    Scheduler keeps the request that it could not make; should it keep the input alone, that is it.
    """
    if given.get("IS_PAYLOAD_TRUNCATED") == "true":
        raise UnreadableError("cut off by Scheduler")
    payload, function = body, ""
    match document(body):
        case {"FunctionName": str(function), "Payload": str(payload)}:
            pass
        case {"FunctionName": str(function), "Payload": _}:
            payload = _member(body, "Payload")
    for word, attribute in CONTEXT.items():
        payload = payload.replace(f"<aws.scheduler.{word}>", given.get(attribute, "0"))
    error = f"{given.get('ERROR_CODE', '')}: {given.get('ERROR_MESSAGE', '')}"
    return FailedEvent(payload.encode(), error, given.get("EXECUTION_ID", ""), function)


def document(body: str) -> Any:
    """Return the JSON in a text; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _record(text: str, said: Mapping[str, Any]) -> FailedEvent:
    context, response = said["requestContext"], said.get("responsePayload")
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
