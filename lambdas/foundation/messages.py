"""A message from SQS. Pure: no AWS, no environment, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUEST_ID_LENGTH = 128


@dataclass(frozen=True)
class Message:
    """A message as Lambda delivers it (AWS Lambda developer guide, "Using Lambda with SQS").

    Args:
        id: SQS's id; a redelivered message keeps it.
        body: As it was sent.
        sent_at: When SQS took it, in milliseconds since 1970.
        receive_count: How often it was delivered, this time included.
        receipt_handle: Names this delivery in calls to SQS.
        attributes: Its message attributes, in the spelling of the Lambda event.
        group_id: Its message group; a FIFO queue always has one.
        sequence_number: Its place in a FIFO queue.
        trace_header: Its X-Ray trace.
    """

    id: str
    body: str
    sent_at: int
    receive_count: int
    receipt_handle: str
    attributes: Mapping[str, Any]
    group_id: str | None = None
    sequence_number: str | None = None
    trace_header: str | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Message:
        """Read a record of the event."""
        system = record["attributes"]
        return cls(
            id=record["messageId"],
            body=record["body"],
            sent_at=int(system["SentTimestamp"]),
            receive_count=int(system["ApproximateReceiveCount"]),
            receipt_handle=record["receiptHandle"],
            attributes=record.get("messageAttributes", {}),
            group_id=system.get("MessageGroupId"),
            sequence_number=system.get("SequenceNumber"),
            trace_header=system.get("AWSTraceHeader"),
        )

    @property
    def request_id(self) -> str:
        """The API's id of the request; the message's id if it was sent to the queue directly."""
        sent = self.text("RequestId")
        return sent if 0 < len(sent) <= MAX_REQUEST_ID_LENGTH else self.id

    @property
    def received_at(self) -> int:
        """When the API took the request, else when SQS did, in milliseconds since 1970."""
        sent = self.text("ReceivedAt")
        is_number = sent.isascii() and sent.isdigit() and len(sent) <= 15
        return int(sent) if is_number else self.sent_at

    @property
    def ids(self) -> dict[str, Any]:
        """The ids that a log line names it by."""
        return {"message_id": self.id, "request_id": self.request_id, "group_id": self.group_id}

    def text(self, name: str) -> str:
        """Return a message attribute as it was sent; nothing if it has none of this name."""
        return self.attributes.get(name, {}).get("stringValue") or ""
