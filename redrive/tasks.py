"""Amazon SQS's own redrive: a task that moves all messages of a queue's dead-letter queue.

It runs in SQS, so it goes on when the caller stops, at up to 500 messages a second. It takes every
message, in a FIFO queue too, and knows no filter and no poison.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.limits import SQS_MOVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sources import Queue

LOOK_SECONDS = 1.0


def move(
    sqs: Any,
    queue: Queue,
    *,
    to: str | None = None,
    rate: float | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> str:
    """Start a task, or find the one that runs, and follow it; return how it ended.

    Args:
        sqs: Client.
        queue: The dead-letter queue.
        to: ARN of a queue of the same type. Default: the source of each message.
        rate: Messages a second, 1 to 500. Default: as SQS sees fit.
        progress: Called with how many were moved, and of how many.
    """
    if not running(sqs, queue):
        more: dict[str, Any] = {"DestinationArn": to} if to else {}
        if rate is not None:
            more["MaxNumberOfMessagesPerSecond"] = max(1, min(SQS_MOVES, int(rate)))
        sqs.start_message_move_task(SourceArn=queue.arn, **more)
    while True:
        task = _last(sqs, queue)
        moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        progress(moved, int(task.get("ApproximateNumberOfMessagesToMove", 0)))
        if task["Status"] not in ("RUNNING", "CANCELLING"):
            return str(task.get("FailureReason") or task["Status"])
        time.sleep(LOOK_SECONDS)


def cancel(sqs: Any, queue: Queue) -> int:
    """Cancel the task of a queue; return how many messages it has moved, 0 without one."""
    task = running(sqs, queue)
    if not task:
        return 0
    answer = sqs.cancel_message_move_task(TaskHandle=task["TaskHandle"])
    return int(answer.get("ApproximateNumberOfMessagesMoved", 0))


def running(sqs: Any, queue: Queue) -> dict[str, Any]:
    """Return the task that moves a queue's messages now; an empty one if none does."""
    task = _last(sqs, queue)
    return task if task.get("Status") == "RUNNING" else {}


def _last(sqs: Any, queue: Queue) -> dict[str, Any]:
    found = sqs.list_message_move_tasks(SourceArn=queue.arn, MaxResults=1).get("Results", [])
    return dict(found[0]) if found else {}
