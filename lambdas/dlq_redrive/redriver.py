"""Schedule → DLQ → SQS: dead letters go back to their queue, each once.

What was redriven before, and what its consumer rejected, waits for a person: it would fail again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import aws, redrives
from ..foundation.dead_letters import MAX_ENTRIES, REASON
from ..foundation.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

HIDDEN_SECONDS = 60
ENDS_BEFORE = 5_000  # milliseconds that are left for the last batch


@logger.inject_lambda_context
def handler(event: Mapping[str, str], context: LambdaContext) -> dict[str, int]:
    """Move dead letters back; return how many were moved and how many stay.

    A message is deleted only after its queue has accepted it. Of a FIFO group nothing moves past a
    message that stays.

    Args:
        event: ``dead_letter_queue_url`` and ``queue_url``.
        context: How long it may run.
    """
    moved, kept, stopped, seen = 0, 0, set[str](), set[str]()
    while context.get_remaining_time_in_millis() > ENDS_BEFORE:
        answer = aws.client("sqs").receive_message(
            QueueUrl=event["dead_letter_queue_url"],
            MaxNumberOfMessages=MAX_ENTRIES,
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=1,  # asks every server of SQS, so none means none
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages = [one for one in answer.get("Messages", []) if one["MessageId"] not in seen]
        if not messages:
            break
        seen |= {one["MessageId"] for one in messages}
        gone = _move(event, messages, stopped)
        moved, kept = moved + gone, kept + len(messages) - gone
    logger.info("Redrive", moved=moved, kept=kept)
    return {"moved": moved, "kept": kept}


def _move(event: Mapping[str, str], messages: Sequence[Any], stopped: set[str]) -> int:
    """Move those that may go back, and delete them; return how many are gone."""
    chosen = []
    for message in messages:
        group = message["Attributes"].get("MessageGroupId", "")
        group = group if event["queue_url"].endswith(".fifo") else ""
        if (
            group in stopped
            or redrives.times(message)
            or REASON in message.get("MessageAttributes", {})
        ):
            stopped |= {group} - {""}
        else:
            chosen.append(message)
    failed = redrives.move(aws.client("sqs"), event["queue_url"], chosen) if chosen else {}
    for message in chosen:
        if message["MessageId"] in failed:
            stopped |= {message["Attributes"].get("MessageGroupId", "")} - {""}
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(chosen)
        if message["MessageId"] not in failed
    ]
    if not entries:
        return 0
    answer = aws.client("sqs").delete_message_batch(
        QueueUrl=event["dead_letter_queue_url"], Entries=entries
    )
    return len(entries) - len(answer.get("Failed", []))
