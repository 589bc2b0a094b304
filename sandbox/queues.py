"""Looks into SQS queues through the API, for scenarios."""

from __future__ import annotations

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
        TimeoutError: it did not hold within ``seconds``; ``what`` says what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain: {what}.")
        time.sleep(pause)


def backlog(stack: Deployment, queue_url: str) -> int:
    """Return how many messages a queue holds: waiting, delayed or in flight."""
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=list(_COUNTS)
    )["Attributes"]
    return sum(int(attributes[name]) for name in _COUNTS)


def in_flight(stack: Deployment, queue_url: str) -> int:
    """Return how many messages have been received and are not deleted yet."""
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=[_COUNTS[1]]
    )["Attributes"]
    return int(attributes[_COUNTS[1]])


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

    until(empty, seconds=seconds, what="the queues still hold messages")


def receive(stack: Deployment, queue_url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield what lies in a queue, up to ten messages at a time, until it gives none twice.

    Nothing is deleted: the messages stay hidden for five minutes.
    """
    sqs = stack.client("sqs")
    empty_answers = 0
    while empty_answers < 2:
        answer = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=300,
            WaitTimeSeconds=1,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        empty_answers = 0 if messages else empty_answers + 1
        if messages:
            yield messages


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
