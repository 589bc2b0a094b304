"""Schedule → DLQ → SQS: dead letters go back to their queue, each once.

What was redriven before, and what its consumer rejected, waits for a person: it would fail again.
So does what has no room for the count of its redrives: it would be moved each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import aws, redrives, visibility
from ..foundation.dead_letters import MAX_ENTRIES, REASON
from ..foundation.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

ENDS_BEFORE = 5_000  # milliseconds that are left for the last batch, and to show what stays
SHOWS_BEFORE = 1_000  # milliseconds


@logger.inject_lambda_context
def handler(event: Mapping[str, str], context: LambdaContext) -> dict[str, int]:
    """Move dead letters back; return how many were moved and how many stay.

    A message is deleted only after its queue has accepted it. Of a FIFO group nothing moves past a
    message that stays.

    Args:
        event: ``dead_letter_queue_url`` and ``queue_url``.
        context: How long it may run.
    """
    gone, stopped, seen = set[str](), set[str](), dict[str, str]()
    while (left := context.get_remaining_time_in_millis()) > ENDS_BEFORE:
        answer = aws.client("sqs").receive_message(
            QueueUrl=event["dead_letter_queue_url"],
            MaxNumberOfMessages=MAX_ENTRIES,
            VisibilityTimeout=left // 1000 + 1,  # for as long as this run can take
            WaitTimeSeconds=1,  # asks every server of SQS, so none means none
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages = [one for one in answer.get("Messages", []) if one["MessageId"] not in seen]
        if not messages:
            break
        seen |= {one["MessageId"]: one["ReceiptHandle"] for one in messages}
        gone |= _move(event, messages, stopped)
    kept = [handle for id_, handle in seen.items() if id_ not in gone]
    _show(event["dead_letter_queue_url"], kept, context)
    logger.info("Redrive", moved=len(gone), kept=len(kept))
    return {"moved": len(gone), "kept": len(kept)}


def _show(url: str, handles: Sequence[str], context: LambdaContext) -> None:
    """Show what stays at once: while it is hidden, its alarm is off, and nobody can redrive it."""
    for some in aws.batches(handles, most=MAX_ENTRIES):
        if context.get_remaining_time_in_millis() > SHOWS_BEFORE:
            visibility.change(url, dict.fromkeys(some, 0))


def _move(event: Mapping[str, str], messages: Sequence[Any], stopped: set[str]) -> set[str]:
    """Move those that may go back, and delete them; return the ids of those that are gone."""
    chosen = []
    for message in messages:
        group = message["Attributes"].get("MessageGroupId", "")
        group = group if event["queue_url"].endswith(".fifo") else ""
        if (
            group in stopped
            or redrives.times(message)
            or REASON in message.get("MessageAttributes", {})
            or not redrives.has_room(message)
        ):
            stopped |= {group} - {""}
        else:
            chosen.append(message)
    failed = redrives.move(aws.client("sqs"), event["queue_url"], chosen) if chosen else {}
    for message in chosen:
        if message["MessageId"] in failed:
            stopped |= {message["Attributes"].get("MessageGroupId", "")} - {""}
    entries = [
        {"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]}
        for message in chosen
        if message["MessageId"] not in failed
    ]
    if not entries:
        return set()
    answer = aws.client("sqs").delete_message_batch(
        QueueUrl=event["dead_letter_queue_url"], Entries=entries
    )
    left = {failure["Id"] for failure in answer.get("Failed", [])}
    return {entry["Id"] for entry in entries} - left
