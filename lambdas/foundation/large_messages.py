"""Sends and receives bodies of 1 byte to 2 GB, as AWS's extended clients do, anywhere.

A body is in S3 before any message says so, and is deleted after its message.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from . import bodies, pointers
from .dead_letters import MAX_ATTRIBUTES, MAX_BYTES, MAX_ENTRIES, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Body = str | bytes | IO[bytes] | Iterable[bytes]
SNS_BYTES = 256 * 1024  # Amazon SNS API reference, "Publish", unless the topic raises its maximum
LONG_POLL = 20  # seconds
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_NOT_SENT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Sender:
    """Sends a body as it is, or its pointer."""

    _most: int

    def __init__(
        self, to: str, bucket: str, prefix: str, threshold: int | None, session: Any
    ) -> None:
        self._fifo = to.endswith(".fifo")
        self._threshold = self._most if threshold is None else threshold
        if not 0 <= self._threshold <= self._most:
            raise ValueError(
                f"threshold is {threshold}; it must be 0, for always, to {self._most}."
            )
        self._s3, self._bucket, self._prefix = session.client("s3"), bucket, prefix

    def _send(
        self,
        call: Any,
        name: str,
        body: Body,
        attributes: Mapping[str, Any] | None,
        group_id: str | None,
        deduplication_id: str | None,
    ) -> str:
        attributes = dict(attributes or {})
        if {pointers.SIZE, pointers.LEGACY_SIZE} & attributes.keys():
            raise ValueError(f"attributes has {pointers.SIZE}, which tells a pointer. Rename it.")
        digest = hashlib.sha256()
        head, rest = self._split(_seen(body, digest), size_of("", attributes))
        text, stored = None if rest else _text(head), None
        if text is None:
            if len(attributes) >= MAX_ATTRIBUTES:
                raise ValueError(
                    f"attributes has {len(attributes)}; a large message has room for "
                    f"{MAX_ATTRIBUTES - 1}, as one tells its size. Leave one out."
                )
            chunks = itertools.chain([head], rest or ())
            stored = bodies.put(self._s3, self._bucket, self._prefix, chunks)
            text, attributes = stored.body, attributes | stored.attributes
        given: dict[str, Any] = {name: text, "MessageAttributes": attributes}
        if group_id is not None:
            given["MessageGroupId"] = group_id
        if self._fifo:
            # Not by content: each pointer is to a key of its own, also that of an equal body.
            given["MessageDeduplicationId"] = deduplication_id or digest.hexdigest()
        try:
            return str(call(**given)["MessageId"])
        except ClientError as error:
            if stored and _certainly_rejected(error):
                bodies.delete(self._s3, self._bucket, [stored.key])
            raise

    def _split(self, chunks: Iterator[bytes], taken: int) -> tuple[bytes, Iterator[bytes] | None]:
        """Return the beginning of a body, and the rest if it is above the threshold."""
        head = bytearray()
        for chunk in chunks:
            head += chunk
            if len(head) + taken > self._threshold:
                return bytes(head), chunks
        return bytes(head), None


class LargeMessages(_Sender):
    """A queue whose messages may be larger than SQS takes.

    Args:
        queue_url: Of the queue, standard or FIFO.
        bucket: Name of the bucket with the bodies.
        prefix: "" or a folder that ends with /. Default: the whole bucket.
        threshold: Bytes of body and attributes above which the body goes to S3: 0 for always, up
            to 1 MiB; a receiver by an older library may take 256 KiB (262,144) for the most. What
            SQS does not take as text goes to S3 in any case. Default: 1 MiB.
        shared: Whether others read the bodies, too, as behind a topic: then nobody deletes them but
            the bucket's lifecycle rule. Default: no.
        session: Of boto3. Default: the default one.

    Raises:
        ValueError: a threshold above what SQS takes.
    """

    _most = MAX_BYTES

    def __init__(
        self,
        queue_url: str,
        *,
        bucket: str,
        prefix: str = "",
        threshold: int | None = None,
        shared: bool = False,
        session: Any = boto3,
    ) -> None:
        super().__init__(queue_url, bucket, prefix, threshold, session)
        self._url, self._sqs, self._shared = queue_url, session.client("sqs"), shared

    def send(
        self,
        body: Body,
        *,
        attributes: Mapping[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """Send a message and return its id.

        Args:
            body: Text, bytes, a file that is open for reading bytes, or chunks.
            attributes: As boto3 takes them; up to 9 if the body goes to S3.
            group_id: Its message group, of a FIFO queue, or of a standard one that is to be fair.
            deduplication_id: Of a FIFO queue. Default: the SHA-256 of the body.

        Raises:
            ValueError: the body is empty or larger than 2 GB, or there are too many attributes.
            ClientError: SQS or S3 rejects it. Send it again: what may be left is an orphan.
        """
        call = partial(self._sqs.send_message, QueueUrl=self._url)
        return self._send(call, "MessageBody", body, attributes, group_id, deduplication_id)

    def receive(
        self, *, most: int = MAX_ENTRIES, wait_seconds: int = LONG_POLL
    ) -> list[LargeMessage]:
        """Return messages, without reading their bodies; none if none came in time."""
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            MessageAttributeNames=["All"],
        )
        return [LargeMessage(self, one) for one in answer.get("Messages", ())]


@dataclass(frozen=True)
class LargeMessage:
    """A message that was received: hidden from others, until it is deleted or its time is up.

    Attributes:
        messages: Where it was received.
        raw: What SQS says of it.
    """

    messages: LargeMessages
    raw: Mapping[str, Any]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its attributes, as boto3 gives them, without the one that tells a pointer."""
        told, every = (pointers.SIZE, pointers.LEGACY_SIZE), self.raw.get("MessageAttributes", {})
        return {name: it for name, it in every.items() if name not in told}

    @property
    def _pointer(self) -> pointers.Pointer | None:
        found = pointers.find(self.raw["Body"], self.raw.get("MessageAttributes", {}))
        return found and found.check(self.messages._bucket, self.messages._prefix)

    def open(self) -> Iterator[bytes]:
        """Return its body, chunk by chunk.

        Raises:
            RefusedError: its pointer is not to a body of this bucket and prefix, or the body is
                gone. Do not delete it: the queue dead-letters it.
        """
        pointer = self._pointer
        if pointer is None:
            return iter([self.raw["Body"].encode()])
        return bodies.fetch(self.messages._s3, pointer)

    def read(self) -> bytes:
        """Return its body, as a whole. See ``open``."""
        return b"".join(self.open())

    def delete(self) -> None:
        """Delete the message, then its body, so that no message is ever without it."""
        pointer, of = self._pointer, self.messages
        of._sqs.delete_message(QueueUrl=of._url, ReceiptHandle=self.raw["ReceiptHandle"])
        if pointer and not of._shared:
            bodies.delete(of._s3, pointer.bucket, [pointer.key])


class LargeNotifications(_Sender):
    """A topic whose messages may be larger than SNS takes. Its subscribers are ``shared`` queues.

    Args:
        topic_arn: Of the topic, standard or FIFO. Its queues take raw messages.
        bucket: Name of the bucket with the bodies.
        prefix: "" or a folder that ends with /. Default: the whole bucket.
        threshold: Bytes of body and attributes above which the body goes to S3; 0 for always.
            Default: 256 KiB.
        session: Of boto3. Default: the default one.

    Raises:
        ValueError: a threshold above what SNS takes.
    """

    _most = SNS_BYTES

    def __init__(
        self,
        topic_arn: str,
        *,
        bucket: str,
        prefix: str = "",
        threshold: int | None = None,
        session: Any = boto3,
    ) -> None:
        super().__init__(topic_arn, bucket, prefix, threshold, session)
        self._publish = partial(session.client("sns").publish, TopicArn=topic_arn)

    def publish(
        self,
        body: Body,
        *,
        attributes: Mapping[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """Publish a message and return its id. See ``LargeMessages.send``."""
        return self._send(self._publish, "Message", body, attributes, group_id, deduplication_id)


def _seen(body: Body, digest: Any) -> Iterator[bytes]:
    """Yield the chunks of a body, and show each to ``digest``."""
    chunks: Iterable[bytes]
    if isinstance(body, str | bytes | bytearray):
        chunks = [body.encode() if isinstance(body, str) else bytes(body)]
    elif hasattr(body, "read"):
        chunks = iter(partial(body.read, bodies.CHUNK), b"")
    else:
        chunks = body
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _text(body: bytes) -> str | None:
    """Return a body as text, if SQS and SNS take it as that."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if not text or _NOT_SENT.search(text) else text


def _certainly_rejected(error: ClientError) -> bool:
    """Whether no attempt can have been accepted, so that no message has the pointer."""
    said: Any = error.response.get("ResponseMetadata", {})
    return bool(said.get("HTTPStatusCode", 500) < 500 and said.get("RetryAttempts", 1) == 0)
