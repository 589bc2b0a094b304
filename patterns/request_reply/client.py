"""Calls a responder behind a queue as if it were a function, from threads or asyncio; needs boto3.

One answer queue for each process: SQS hands a message to whoever polls, so on a queue that several
processes share each would get the others' answers. The calls of a process are told apart in it, by
their correlation ids: virtual queues, which cost nothing. Source:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-temporary-queues.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import secrets
import threading
import time
import uuid
from collections import Counter, OrderedDict
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import checks, replies
from serverless_patterns.lambdas.foundation.outcomes import RefusedError

from ..limits import SQS_BATCH_ENTRIES, SQS_LONG_POLL, SQS_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

USABLE_AFTER = 1.0  # seconds until SQS knows a new queue everywhere (API reference, "CreateQueue")
REMEMBERED = 10_000  # calls that are over, to tell late answers from answers for nobody
PAUSE = 0.5  # seconds, before SQS is asked again that could not be reached


class RequestError(Exception):
    """A call without a result.

    Args:
        request_id: Which. Call again with it, and the request still has one effect.
        reason: Short code, for machines.
        detail: Plain sentence of the same.
    """

    def __init__(self, request_id: str, reason: str, detail: str) -> None:
        super().__init__(f"Request {request_id}: {reason}. {detail}")
        self.request_id, self.reason, self.detail = request_id, reason, detail


class RejectedError(RequestError):
    """The responder will not work on the request, whenever it is sent."""


class NoAnswerError(RequestError, TimeoutError):
    """No answer came: the request may have had its effect, or not."""


class Requester(AbstractContextManager["Requester"]):
    """Sends requests, and waits for their answers. Make one in each process, after it was forked.

    Requests that are made at the same time share calls of SQS, ten to one; so do their answers. Its
    methods may be called from any thread. At the end of its block it deletes its queue.

    Args:
        queue_url: Of the queue of requests, standard or FIFO.
        answers: What ``answers`` of the construct says, as an object or as its JSON.
        threads: How many threads send, and as many receive. Default: 2.
        session: Of boto3. Default: the default one.

    Attributes:
        name: Of its answer queue.
        counts: Of answers, by what became of them: ``answered``, ``late`` (its caller had given
            up), ``duplicate``, ``nobody`` (no call of this process). Only the first are told to a
            caller.
    """

    def __init__(
        self,
        queue_url: str,
        answers: str | Mapping[str, Any],
        *,
        threads: int = 2,
        session: Any = boto3,
    ) -> None:
        told = json.loads(answers) if isinstance(answers, str) else answers
        self._url, self._told, self._fifo = queue_url, told, queue_url.endswith(".fifo")
        # Each thread has a connection of its own; a client keeps ten unless it is told more.
        more = {"config": Config(max_pool_connections=2 * threads + 1)} if threads > 4 else {}
        self._sqs, self._threads = session.client("sqs", **more), threads
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._closed = threading.Event()
        self._waiting: dict[str, Future[Any]] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        self._outbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.counts = Counter[str]()
        self._open()
        for work in (*(self._send, self._receive) * threads, self._beat):
            threading.Thread(target=work, daemon=True, name=work.__name__).start()

    @classmethod
    def of_environment(cls, **settings: Any) -> Self:
        """Return one by the variables that ``requester_environment`` of the construct has."""
        return cls(os.environ["QUEUE_URL"], os.environ["ANSWERS"], **settings)

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Delete the answer queue. Calls that wait end with ``NoAnswerError``."""
        self._closed.set()
        for _ in range(self._threads):
            self._outbox.put(None)
        # Not while another one is made. What is not deleted here, the sweep deletes.
        with self._opening, suppress(ClientError, BotoCoreError):
            self._sqs.delete_queue(QueueUrl=self._answers_url)
        self._fail_all("closed", "The requester was closed.")

    def call(
        self, document: Any, *, request_id: str = "", timeout: float = 0, group: str = ""
    ) -> Any:
        """Send a request and return its result.

        Args:
            document: What is asked; JSON.
            request_id: 1 to 64 letters, digits, - and _, under which the request has one effect.
                Keep it before you call, and call again with it after a crash or a time-out.
                Default: a new one.
            timeout: How long to wait for the answer, in seconds. Default: the construct's.
            group: For a FIFO queue: requests of one group, of this requester, are worked on in
                their order. Up to 64 letters, digits, - and _. Default: each is a group of its own.

        Raises:
            RejectedError: the responder rejects it.
            NoAnswerError: no answer came in time. Call again with the same id.
            ValueError: it is too large for SQS, an id is not valid, or one is waited for already.
            ClientError, BotoCoreError: it could not be sent. Call again with the same id.
        """
        id_, future, seconds = self._ask(document, request_id, timeout, group)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # the answer came at the last moment, or says so
                return future.result()
            raise _late(id_, seconds) from None
        finally:
            self._end(id_, future)

    async def call_async(
        self, document: Any, *, request_id: str = "", timeout: float = 0, group: str = ""
    ) -> Any:
        """Send a request and return its result, without holding up the event loop. See ``call``."""
        id_, future, seconds = self._ask(document, request_id, timeout, group)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except NoAnswerError:
            raise
        except TimeoutError:
            raise _late(id_, seconds) from None
        finally:
            self._end(id_, future)

    # The virtual queues: who waits

    def _ask(
        self, document: Any, request_id: str, timeout: float, group: str
    ) -> tuple[str, Future[Any], float]:
        id_, seconds = request_id or uuid.uuid4().hex, timeout or float(self._told["timeout"])
        try:
            checks.identifier(id_, "request_id")
            checks.identifier(group or id_, "group")
        except RefusedError as error:
            raise ValueError(error.detail) from None
        body = json.dumps(document)
        if len(body) + replies.OVERHEAD > SQS_MESSAGE_BYTES:
            raise ValueError(
                f"The request has {len(body):,} bytes, more than SQS takes. Send a pointer to it."
            )
        future: Future[Any] = Future()
        with self._lock:
            if self._closed.is_set():
                raise ValueError("The requester is closed. Make another one.")
            if id_ in self._waiting:
                raise ValueError(f"request_id {id_} is waited for already. Give another one.")
            self._waiting[id_] = future
        said = replies.attributes(self.name, id_, time.time() + seconds)
        # No group is another requester's, too: in a FIFO queue one would wait for the other, and a
        # standard queue is fair to each.
        mine = self.name[-replies.NAME_LENGTH :]
        entry = {"MessageBody": body, "MessageAttributes": said, "MessageGroupId": mine}
        if self._fifo:  # sent again under its id it is to be answered again, and not deduplicated
            entry["MessageGroupId"] = f"{mine}.{group or id_}"
            entry["MessageDeduplicationId"] = uuid.uuid4().hex
        self._outbox.put(entry)
        return id_, future, seconds

    def _end(self, id_: str, future: Future[Any]) -> None:
        """Remember a call that is over, whoever ended it; another one may have its id by now."""
        with self._lock:
            if self._waiting.get(id_) is future:
                del self._waiting[id_]
                self._over[id_] = "late"
            while len(self._over) > REMEMBERED:
                self._over.popitem(last=False)

    def _deliver(self, message: Mapping[str, Any]) -> None:
        """Give an answer to the call that waits for it; count one that none waits for."""
        id_, result, problem = _id_of(message), None, None
        try:
            result, problem = replies.read(message["Body"])
        except ValueError:
            id_ = ""
        with self._lock:
            future = self._waiting.pop(id_, None)
            self.counts["answered" if future else self._over.get(id_, "nobody")] += 1
            if future:
                self._over[id_] = "duplicate"
        with suppress(InvalidStateError):  # its task was cancelled meanwhile
            if future and problem:
                future.set_exception(RejectedError(id_, *problem))
            elif future:
                future.set_result(result)

    def _fail(self, id_: str, error: Exception) -> None:
        future = self._waiting.get(id_)
        with suppress(InvalidStateError):
            if future:
                future.set_exception(error)

    def _fail_all(self, reason: str, detail: str) -> None:
        with self._lock:
            ids = [*self._waiting]
        for id_ in ids:
            self._fail(id_, NoAnswerError(id_, reason, detail))

    # The queues of SQS: each method runs in threads of its own

    def _open(self) -> None:
        """Make an answer queue of a new name: SQS reserves a deleted one for a minute."""
        name = self._told["prefix"] + secrets.token_hex(replies.NAME_LENGTH // 2)
        made = self._sqs.create_queue(
            QueueName=name, Attributes=self._told["attributes"], tags=_alive()
        )
        time.sleep(USABLE_AFTER)
        self.name, self._answers_url = name, made["QueueUrl"]

    def _send(self) -> None:
        """Send what waits, as many requests in a call as there are."""
        entry = self._outbox.get()
        while entry is not None:
            batch, size = [entry], _size(entry)
            while (entry := self._next()) and len(batch) < SQS_BATCH_ENTRIES:
                size += _size(entry)
                if size > SQS_MESSAGE_BYTES:
                    break
                batch.append(entry)
            self._send_batch(batch)
            entry = entry or self._outbox.get()

    def _next(self) -> dict[str, Any] | None:
        """Return the next request if one waits; at the end, leave that to be seen."""
        try:
            entry = self._outbox.get_nowait()
        except queue.Empty:
            return None
        if entry is None:
            self._outbox.put(None)
        return entry

    def _send_batch(self, batch: list[dict[str, Any]]) -> None:
        entries: Any = [{"Id": str(number), **entry} for number, entry in enumerate(batch)]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            for entry in batch:
                self._fail(_id_of(entry), error)
            return
        again: list[dict[str, Any]] = []
        for failure in answer.get("Failed", ()):
            entry = batch[int(failure["Id"])]
            id_ = _id_of(entry)
            if failure["SenderFault"]:
                detail = "SQS does not take the request."
                self._fail(id_, RejectedError(id_, failure["Code"], detail))
            elif id_ in self._waiting:  # and is sent again for as long as it is
                again.append(entry)
        if again:
            self._closed.wait(PAUSE)
        for entry in again:
            self._outbox.put(entry)

    def _receive(self) -> None:
        """Receive answers, give them to who waits, and delete them."""
        while not self._closed.is_set():
            url = self._answers_url
            try:
                found = self._sqs.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=int(SQS_BATCH_ENTRIES),
                    WaitTimeSeconds=int(SQS_LONG_POLL),
                    MessageAttributeNames=[replies.CORRELATION_ID],
                ).get("Messages", ())
                for message in found:
                    self._deliver(message)
                entries: Any = [
                    {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"]}
                    for number, one in enumerate(found)
                ]
                if entries:  # one that is not deleted comes again, as a duplicate
                    self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            except Exception as error:  # a thread that ended would hear of no answer any more
                self._recover(url, error)

    def _beat(self) -> None:
        """Say that this process is alive, so that the sweep leaves its queue alone."""
        while not self._closed.wait(float(self._told["heartbeat"])):
            url = self._answers_url
            try:
                self._sqs.tag_queue(QueueUrl=url, Tags=_alive())
            except (ClientError, BotoCoreError) as error:
                self._recover(url, error)

    def _recover(self, url: str, error: Exception) -> None:
        """Wait for SQS to be back; make a new queue if this one is gone."""
        if not self._closed.is_set():  # else it is a poll that was under way
            logging.getLogger(__name__).warning("Answers are not received: %r", error)
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code not in replies.GONE:
            self._closed.wait(PAUSE)
            return
        with self._opening:
            if url == self._answers_url and not self._closed.is_set():
                try:
                    self._open()
                except (ClientError, BotoCoreError):
                    self._closed.wait(PAUSE)
                else:
                    self._fail_all("queue_gone", "The answer queue was deleted. Call again.")


def _late(id_: str, seconds: float) -> NoAnswerError:
    detail = f"No answer came within {seconds:g} s. Call again with the same request_id."
    return NoAnswerError(id_, "timeout", detail)


def _id_of(message: Mapping[str, Any]) -> str:
    every: Mapping[str, Any] = message.get("MessageAttributes", {})
    return str(every.get(replies.CORRELATION_ID, {}).get("StringValue", ""))


def _size(entry: Mapping[str, Any]) -> int:
    return len(entry["MessageBody"]) + replies.OVERHEAD


def _alive() -> dict[str, str]:
    return {replies.HEARTBEAT: f"{time.time():.0f}"}
