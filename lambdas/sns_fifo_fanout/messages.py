"""What the handlers need to know of a message from SQS, delivered raw by SNS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Message:
    """A message as Lambda hands it over.

    Args:
        id: SQS's id; a redelivered message keeps it.
        body: What the publisher sent.
        sent_at: When SNS put it into the queue, in milliseconds since 1970.
        group_id: Its message group; one in a standard queue may have none.
        trace_header: Its X-Ray trace.
        attributes: Its message attributes, in the spelling of the Lambda event.
    """

    id: str
    body: str
    sent_at: int
    group_id: str | None
    trace_header: str | None
    attributes: Mapping[str, Any]

    @property
    def ids(self) -> dict[str, str | None]:
        """What a log line names it by."""
        return {"message_id": self.id, "group_id": self.group_id}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Message:
        """Read a record of the event (AWS Lambda developer guide, "Using Lambda with SQS")."""
        system = record["attributes"]
        return cls(
            id=record["messageId"],
            body=record["body"],
            sent_at=int(system["SentTimestamp"]),
            group_id=system.get("MessageGroupId"),
            trace_header=system.get("AWSTraceHeader"),
            attributes=record.get("messageAttributes", {}),
        )
