"""Looks into SQS queues through the API, for scenarios."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .target import Deployment

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def until(condition: Callable[[], bool], *, seconds: float, what: str, pause: float = 0.2) -> None:
    """Wait until ``condition`` holds.

    Raises:
        TimeoutError: it did not hold within ``seconds``; ``what`` says what was waited for:
            "until the queue is empty".
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s {what}: in vain.")
        time.sleep(pause)


def backlog(stack: Deployment, queue_url: str) -> int:
    """Return how many messages a queue holds: waiting, delayed or in flight."""
    return _count(stack, queue_url, *_COUNTS)


def waiting(stack: Deployment, queue_url: str) -> int:
    """Return how many messages can be received now."""
    return _count(stack, queue_url, "ApproximateNumberOfMessages")


def in_flight(stack: Deployment, queue_url: str) -> int:
    """Return how many messages have been received and are not deleted yet."""
    return _count(stack, queue_url, "ApproximateNumberOfMessagesNotVisible")


def _count(stack: Deployment, queue_url: str, *names: str) -> int:
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=list(names)
    )["Attributes"]
    return sum(int(attributes[name]) for name in names)


def wait_until_empty(stack: Deployment, *queue_urls: str, seconds: float = 300) -> None:
    """Wait until the queues are empty three looks in a row (SQS counts are approximate).

    Raises:
        TimeoutError: they were not, within ``seconds``.
    """
    empty_looks = 0

    def empty() -> bool:
        nonlocal empty_looks
        busy = any(backlog(stack, url) for url in queue_urls)
        empty_looks = 0 if busy else empty_looks + 1
        return empty_looks >= 3

    until(empty, seconds=seconds, what="until the queues are empty")


def receive(stack: Deployment, queue_url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield a queue's messages, up to ten at a time, until it gives none and counts none.

    Nothing is deleted: the messages stay hidden for five minutes.
    """
    sqs = stack.client("sqs")
    # A long poll asks all of SQS's servers; an empty queue makes it wait to the end.
    patience = 1 if stack.executes("sqs-eventual-consistency") else 0
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=300,
            WaitTimeSeconds=patience,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        if messages := answer.get("Messages"):
            yield messages
        elif not waiting(stack, queue_url):
            return
        else:
            time.sleep(0.1)


def take(stack: Deployment, *queue_urls: str) -> Iterator[dict[str, Any]]:
    """Yield every message of these queues; each is deleted once the caller is done with it."""
    for url in queue_urls:
        for messages in receive(stack, url):
            yield from messages
            delete(stack, url, messages)


def reason(message: dict[str, Any]) -> str:
    """Return why a message was dead-lettered by its consumer; empty if SQS did it."""
    attribute = message.get("MessageAttributes", {}).get("Reason", {})
    return str(attribute.get("StringValue", ""))


def delete(stack: Deployment, queue_url: str, messages: list[dict[str, Any]]) -> None:
    """Delete up to ten received messages.

    Raises:
        RuntimeError: SQS kept some of them.
    """
    answer = stack.client("sqs").delete_message_batch(
        QueueUrl=queue_url,
        Entries=[
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ],
    )
    if answer.get("Failed"):
        raise RuntimeError(f"SQS did not delete: {answer['Failed']}")


def start_redrive(stack: Deployment, queue_url: str) -> None:
    """Let SQS move every message of a dead-letter queue back to its source."""
    sqs = stack.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    sqs.start_message_move_task(SourceArn=arn["Attributes"]["QueueArn"])


def move_back(stack: Deployment, source_url: str, target_url: str) -> None:
    """Move every message of a dead-letter queue to its source, where no redrive task runs.

    Body, attributes and message group stay; a FIFO queue gets a new deduplication id, so that it
    does not take the message for a duplicate of itself.
    """
    for messages in receive(stack, source_url):
        for message in messages:
            group = message["Attributes"].get("MessageGroupId")
            ids = {"MessageGroupId": group} if group else {}
            if target_url.endswith(".fifo"):
                ids["MessageDeduplicationId"] = secrets.token_hex(16)
            stack.client("sqs").send_message(
                QueueUrl=target_url,
                MessageBody=message["Body"],
                MessageAttributes=message.get("MessageAttributes", {}),
                **ids,
            )
        delete(stack, source_url, messages)


def collect(
    stack: Deployment, queue_url: str, key: str, wanted: set[str], seconds: float = 120
) -> list[dict[str, Any]]:
    """Take the JSON bodies that have one of the wanted values under a key; others stay.

    Returns when they are all there, or with those that are after ``seconds``.
    """
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + seconds
    while len(found) < len(wanted) and time.monotonic() < deadline:
        answer = stack.client("sqs").receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=5
        )
        bodies = [(message, json.loads(message["Body"])) for message in answer.get("Messages", [])]
        mine = [(message, body) for message, body in bodies if body[key] in wanted]
        found |= {body[key]: body for _, body in mine}
        if mine:
            delete(stack, queue_url, [message for message, _ in mine])
    return list(found.values())
