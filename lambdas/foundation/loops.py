"""Runs the handler of a queue in a process, as Lambda does: receive, call, delete what is done.

For a container or an instance that consumes a queue in place of a function. What the handler
reports as failed is left in the queue, and shown again when its visibility timeout is over.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore.exceptions import BotoCoreError, ClientError

from . import aws, dead_letters, visibility
from .logs import logger
from .workers import LONG_POLL, PAUSE, record_of

if TYPE_CHECKING:
    from .batch import Handler


@dataclass(frozen=True)
class _Context:
    """The part of Lambda's context that Powertools reads."""

    aws_request_id: str = "loop"
    function_name: str = "loop"
    memory_limit_in_mb: int = 0
    invoked_function_arn: str = "loop"


@dataclass
class Loop:
    """Works on batch after batch of a queue.

    Args:
        handler: As Lambda would call it: idempotent, and reporting partial failures.
        queue_url: Of the queue.
        stop: Set it to end; the batch at work is finished.
    """

    handler: Handler
    queue_url: str
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until ``stop`` is set."""
        while not self.stop.is_set():
            try:
                records = self._receive()
                if self.stop.is_set():  # what came while it was told to end is another's
                    visibility.change(self.queue_url, {one["receiptHandle"]: 0 for one in records})
                elif records:
                    self._delete(self._done(records))
            except (ClientError, BotoCoreError) as error:
                logger.warning("NotReceived", reason=aws.code(error))
                self.stop.wait(PAUSE)

    def _receive(self) -> list[dict[str, Any]]:
        found = aws.client("sqs", read_timeout=LONG_POLL + 5).receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=dead_letters.MAX_ENTRIES,
            WaitTimeSeconds=LONG_POLL,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [record_of(message) for message in found.get("Messages", ())]

    def _done(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the records that are done with."""
        context: Any = _Context()
        try:
            answer = self.handler({"Records": records}, context)
        except BatchProcessingError:
            return []
        except Exception:
            logger.exception("Failed")
            self.stop.wait(PAUSE)
            return []
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        return [one for one in records if one["messageId"] not in failed]

    def _delete(self, records: list[dict[str, Any]]) -> None:
        """Delete messages; one that is not deleted comes again, and is a duplicate."""
        entries = [
            {"Id": str(number), "ReceiptHandle": one["receiptHandle"]}
            for number, one in enumerate(records)
        ]
        call = aws.client("sqs").delete_message_batch
        if failed := dead_letters.call_all(call, self.queue_url, entries):
            logger.warning("NotDeleted", records=len(failed), codes=[*failed.values()])


def main(handler: Handler) -> None:
    """Work on the queue ``QUEUE_URL`` until SIGTERM, as a container gets it."""
    loop = Loop(handler, os.environ["QUEUE_URL"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop.set())
    logger.info("Loop", pid=os.getpid(), at=time.time())
    loop.run()
