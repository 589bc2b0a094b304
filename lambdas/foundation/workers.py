"""Works on one message at a time, for hours if need be: a program, where a function has 15 minutes.

Heartbeats keep the message hidden. They end with the process, so another worker gets the message of
one that died after ``HIDDEN_SECONDS``, however long the job is.
"""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws, dead_letters
from .logs import logger
from .messages import Message
from .outcomes import POSTPONED, Outcome, RefusedError
from .visibility import LONGEST_SECONDS, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LONG_POLL = 20  # seconds
BEATS = 3  # in the time that a message stays hidden: two may fail
PAUSE = 1.0  # seconds, before SQS is asked again that could not be reached
# A message that is not ours any more: SQS has shown, and perhaps handed over, it to another.
GONE = {
    "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue", "MessageNotInflight",
    "ReceiptHandleIsInvalid",
}  # fmt: skip


class StoppedError(Exception):
    """The job must end: the worker is told to, or the message is not its own any more."""


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know.

    Args:
        queue_url: Where the messages are.
        hidden: How long a message stays hidden after each heartbeat, in seconds.
        longest: When a job is hung, in seconds since its receive.
        backoff: The delays between the attempts at a job that fails.
    """

    queue_url: str
    hidden: int
    longest: int
    backoff: Backoff

    @classmethod
    def of_environment(cls) -> Settings:
        """Return what the construct tells."""
        names = ("HIDDEN_SECONDS", "LONGEST_SECONDS")
        hidden, longest = (int(os.environ[name]) for name in names)
        return cls(os.environ["QUEUE_URL"], hidden, longest, Backoff.of_environment())


@dataclass
class Job:
    """A message that is being worked on.

    Args:
        message: What to do.
        settings: Of the worker.
        received_at: When it was asked for, by the monotonic clock: no later than its receive.
        stop: Set when the worker is told to end.
    """

    message: Message
    settings: Settings
    received_at: float
    stop: threading.Event
    gone: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Note until when it is hidden."""
        self.hidden_until = self.received_at + self.settings.hidden

    def check(self) -> None:
        """Call it between the steps of a job, so that it ends as soon as it is not wanted.

        Raises:
            StoppedError: the worker is told to end, or the message is not its own any more.
        """
        if self.stop.is_set() or self.gone.is_set():
            raise StoppedError

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Keep the message hidden meanwhile."""
        thread = threading.Thread(target=self._beats, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def beat(self, now: float) -> bool:
        """Hide the message for longer, unless the job is hung; return whether it is still ours."""
        hidden = min(self.settings.hidden, int(self.received_at + self.settings.longest - now))
        if hidden < 1:
            return False
        try:
            self.show_in(hidden)
        except ClientError as error:
            return aws.code(error) not in GONE and now < self.hidden_until
        except BotoCoreError:
            return now < self.hidden_until
        self.hidden_until = now + hidden
        return True

    def show_in(self, seconds: int) -> None:
        """Let another worker get the message in so many seconds from now; 0: at once."""
        aws.client("sqs").change_message_visibility(
            QueueUrl=self.settings.queue_url,
            ReceiptHandle=self.message.receipt_handle,
            VisibilityTimeout=seconds,
        )

    def _beats(self) -> None:
        while not self._done.wait(self.settings.hidden / BEATS):
            if not self.beat(time.monotonic()):
                logger.error("Lost", **self.message.ids)
                self.gone.set()
                return


def main(work: Callable[[Job], Outcome]) -> None:
    """Work until SIGTERM, as a container gets it; the job that runs then is shown at once."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(work, Settings.of_environment(), stop)


def run(work: Callable[[Job], Outcome], settings: Settings, stop: threading.Event) -> None:
    """Work on message after message until ``stop`` is set.

    Args:
        work: Does the job, and calls ``check()`` between its steps. It raises ``RefusedError`` for
            a message that no retry can help; whatever else it raises fails the job, which is
            attempted again after a delay. It must be idempotent.
        settings: Of the worker.
        stop: Set it to end.
    """
    while not stop.is_set():
        received_at = time.monotonic()
        try:
            found = aws.client("sqs", read_timeout=LONG_POLL + 5).receive_message(
                QueueUrl=settings.queue_url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=LONG_POLL,
                VisibilityTimeout=settings.hidden,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (ClientError, BotoCoreError) as error:
            logger.warning("NotReceived", reason=aws.code(error))
            stop.wait(PAUSE)
            continue
        for message in found.get("Messages", []):
            do(work, Job(Message.of(record_of(message)), settings, received_at, stop))


def do(work: Callable[[Job], Outcome], job: Job) -> None:
    """Do a job, and let its message go: deleted, dead-lettered, or shown again."""
    ids, receives = job.message.ids, job.message.receive_count
    logger.info("Job", **ids, receives=receives, pid=os.getpid())
    try:
        with job.hidden():
            job.check()
            outcome = work(job)
    except StoppedError:
        outcome = POSTPONED
    except RefusedError as error:
        outcome = Outcome.refused(error)
    except (ClientError, BotoCoreError) as error:
        outcome = Outcome.failed(aws.code(error))
    except Exception as error:
        logger.exception("Failed", **ids)
        outcome = Outcome.failed(type(error).__name__)
    if outcome.kind == "refused" and (failed := dead_letters.send([(job.message, outcome)])):
        outcome = Outcome.failed(failed[job.message.id])
    logger.info("Done", **ids, status=outcome.kind, reason=outcome.reason)
    try:
        _let_go(job, outcome)
    except (ClientError, BotoCoreError) as error:  # it returns when it is shown
        logger.warning("NotLetGo", **ids, reason=aws.code(error))


def _let_go(job: Job, outcome: Outcome) -> None:
    if outcome.kind == "postponed":
        if not job.gone.is_set():
            job.show_in(0)
    elif outcome.kind == "failed":
        left = int(LONGEST_SECONDS - (time.monotonic() - job.received_at))
        job.show_in(max(0, min(job.settings.backoff.delay(job.message.receive_count), left)))
    else:
        url, handle = job.settings.queue_url, job.message.receipt_handle
        aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=handle)


def record_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of ReceiveMessage as Lambda's event has it."""
    attributes = {
        name: {
            "dataType": one["DataType"],
            "stringValue": one.get("StringValue"),
            "binaryValue": base64.b64encode(one.get("BinaryValue", b"")).decode(),
        }
        for name, one in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "body": message["Body"],
        "receiptHandle": message["ReceiptHandle"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
    }
