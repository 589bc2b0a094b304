"""What the handlers need to know of a message from SQS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUEST_ID_LENGTH = 128


@dataclass(frozen=True)
class Message:
    """A message as Lambda hands it over.

    Args:
        id: SQS's id; a redelivered message keeps it.
        body: What the client sent.
        request_id: The API's id of the request. The message's id if it was sent directly.
        received_at: When the API took it, else when SQS did, in milliseconds since 1970.
        group_id: Its message group; a FIFO queue always has one.
        sequence_number: Its place in a FIFO queue.
        trace_header: Its X-Ray trace.
        attributes: Its message attributes, in the spelling of the Lambda event.
    """

    id: str
    body: str
    request_id: str
    received_at: int
    group_id: str | None
    sequence_number: str | None
    trace_header: str | None
    attributes: Mapping[str, Any]

    @property
    def ids(self) -> dict[str, str | None]:
        """What a log line names it by."""
        return {"message_id": self.id, "request_id": self.request_id}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Message:
        """Read a record of the event (AWS Lambda developer guide, "Using Lambda with SQS")."""
        attributes, system = record.get("messageAttributes", {}), record["attributes"]
        request_id = _text(attributes, "RequestId")
        received_at = _text(attributes, "ReceivedAt")
        return cls(
            id=record["messageId"],
            body=record["body"],
            request_id=(
                request_id if 0 < len(request_id) <= MAX_REQUEST_ID_LENGTH else record["messageId"]
            ),
            received_at=int(
                received_at if _is_milliseconds(received_at) else system["SentTimestamp"]
            ),
            group_id=system.get("MessageGroupId"),
            sequence_number=system.get("SequenceNumber"),
            trace_header=system.get("AWSTraceHeader"),
            attributes=attributes,
        )


def _text(attributes: Mapping[str, Any], name: str) -> str:
    return attributes.get(name, {}).get("stringValue") or ""


def _is_milliseconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
