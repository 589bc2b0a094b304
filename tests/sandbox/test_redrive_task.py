"""A full dead-letter queue is redriven with a rate, cancelled in the middle and resumed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import arn, create_stack, ref, resource, template
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

LETTERS, RATE = 2_000, 200
POLICY = {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 2}
STACK = template(
    {"Dead": resource("SQS::Queue"), "Queue": resource("SQS::Queue", RedrivePolicy=POLICY)},
    Dead=ref("Dead"),
    Queue=ref("Queue"),
    DeadArn=arn("Dead"),
    QueueArn=arn("Queue"),
)


def test_thousands_are_redriven_with_a_rate_cancelled_and_resumed_and_each_is_there_once(
    second: Target,
) -> None:
    stack = create_stack(second, "redrive-task", STACK)
    sqs, dead, queue = stack.client("sqs"), stack["Dead"], stack["Queue"]
    for first in range(0, LETTERS, 10):
        entries = [{"Id": str(n), "MessageBody": json.dumps(n)} for n in range(first, first + 10)]
        sqs.send_message_batch(QueueUrl=dead, Entries=entries)
    # What was sent to the dead-letter queue itself has no source to go back to.
    where = {"SourceArn": stack["DeadArn"], "DestinationArn": stack["QueueArn"]}
    began = time.monotonic()
    task = sqs.start_message_move_task(**where, MaxNumberOfMessagesPerSecond=RATE)
    queues.until(lambda: queues.backlog(stack, queue) > 0, seconds=60, what="for the first")
    sqs.cancel_message_move_task(TaskHandle=task["TaskHandle"])

    def state() -> str:
        tasks = sqs.list_message_move_tasks(SourceArn=stack["DeadArn"])["Results"]
        return str(tasks[0]["Status"])

    queues.until(lambda: state() == "CANCELLED", seconds=60, what="until it is cancelled")
    moved = queues.backlog(stack, queue)
    assert 0 < moved < min(LETTERS, RATE * (time.monotonic() - began + 1))
    assert queues.backlog(stack, dead) == LETTERS - moved
    sqs.start_message_move_task(**where)
    queues.until(lambda: queues.backlog(stack, dead) == 0, seconds=60, what="until all are moved")
    assert sorted(json.loads(message["Body"]) for message in queues.take(stack, queue)) == [
        *range(LETTERS)
    ]
