"""Looks into SQS queues through the API, for scenarios."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import ToQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .target import Deployment

WAITING, IN_FLIGHT, DELAYED = (
    f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")
)

LONGEST_PAUSE = 0.5  # seconds
ALL_AT_ONCE = 1_000.0  # letters a second


def until(condition: Callable[[], bool], *, seconds: float, what: str, pause: float = 0.2) -> None:
    """Wait until ``condition`` holds.

    The longer it waits, the rarer it looks, and each pause is at least as long as the look before
    it: looks do not keep a busy machine busy.
    Raises TimeoutError after ``seconds``, with ``what``, such as "until the queue is empty".
    """
    started = looked = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now - started > seconds:
            raise TimeoutError(f"Waited {seconds:g} s {what}, without success.")
        time.sleep(max(pause, now - looked, min(LONGEST_PAUSE, (now - started) / 20)))
        looked = time.monotonic()


def backlog(stack: Deployment, queue_url: str, *states: str) -> int:
    """Return how many messages a queue holds: ``WAITING``, ``IN_FLIGHT`` and ``DELAYED`` ones.

    ``states`` are those to count. Default: all three.
    """
    names = states or (WAITING, IN_FLIGHT, DELAYED)
    found = stack.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=[*names])
    return sum(int(found["Attributes"][name]) for name in names)


def wait_until_empty(
    stack: Deployment,
    *queue_urls: str,
    seconds: float = 300,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait until the queues are empty three looks in a row (SQS counts are approximate).

    Raises TimeoutError after ``seconds``. ``meanwhile`` is called before each look.
    """
    looks = [False] * 3

    def empty() -> bool:
        meanwhile()
        looks[:] = [*looks[1:], not any(backlog(stack, url) for url in queue_urls)]
        return all(looks)

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
        elif not backlog(stack, queue_url, WAITING):
            return
        else:
            time.sleep(0.1)


def take(stack: Deployment, *queue_urls: str) -> Iterator[dict[str, Any]]:
    """Yield every message of these queues; each is deleted once the caller is done with it."""
    for url in queue_urls:
        for messages in receive(stack, url):
            yield from messages
            delete(stack, url, messages)


def peek(stack: Deployment, queue_url: str) -> list[dict[str, Any]]:
    """Return a queue's messages, and show them again to others. It raises their receive count."""
    found = [message for messages in receive(stack, queue_url) for message in messages]
    for message in found:
        stack.client("sqs").change_message_visibility(
            QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    return found


def reason(message: dict[str, Any]) -> str:
    """Return why a message was dead-lettered by its consumer; empty if SQS did it."""
    attribute = message.get("MessageAttributes", {}).get("Reason", {})
    return str(attribute.get("StringValue", ""))


@contextmanager
def subscribed(stack: Deployment, topic: str, **attributes: str) -> Iterator[str]:
    """Subscribe a new queue to a topic for a while, as somebody does who listens; yield its URL.

    ``attributes`` are of the subscription.
    """
    sqs, sns = stack.client("sqs"), stack.client("sns")
    name = f"{topic.rpartition(':')[2]}-{time.time_ns()}"[-80:]
    with ExitStack() as undo:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        undo.callback(sqs.delete_queue, QueueUrl=url)
        of_queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = of_queue["Attributes"]["QueueArn"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnLike": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        ours: Any = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn}
        made = sns.subscribe(**ours, Attributes=attributes, ReturnSubscriptionArn=True)
        undo.callback(sns.unsubscribe, SubscriptionArn=made["SubscriptionArn"])
        yield url


def delete(stack: Deployment, queue_url: str, messages: list[dict[str, Any]]) -> None:
    """Delete up to ten received messages. Raises RuntimeError if SQS keeps some of them."""
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    answer = stack.client("sqs").delete_message_batch(QueueUrl=queue_url, Entries=entries)
    if answer.get("Failed"):
        raise RuntimeError(f"SQS did not delete: {answer['Failed']}")


def start_redrive(stack: Deployment, queue_url: str) -> None:
    """Let SQS move every message of a dead-letter queue back to its source."""
    sqs = stack.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    sqs.start_message_move_task(SourceArn=arn["Attributes"]["QueueArn"])


def move_back(stack: Deployment, source_url: str, target_url: str) -> None:
    """Move every message of a dead-letter queue to another one, by the redrive that people use.

    Raises RuntimeError if one stays.
    """
    sqs = stack.client("sqs")
    done = Redrive(ToQueue(sqs, target_url), ALL_AT_ONCE, again=True).run([Queue(sqs, source_url)])
    if not done.good:
        raise RuntimeError(f"Not redriven: {done.lines()}")


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
        for message in answer.get("Messages", []):
            body = json.loads(message["Body"])
            if body[key] in wanted:
                found[body[key]] = body
                delete(stack, queue_url, [message])
    return list(found.values())
