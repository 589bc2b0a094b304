"""Bodies of large messages, in S3. A body is streamed, and never in memory as a whole."""

from __future__ import annotations

import io
import uuid
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from . import aws
from .outcomes import RefusedError
from .pointers import MAX_BYTES, Pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 1024**2
PART = 64 * CHUNK  # of a read: a connection that is open for minutes is cut off at times
REFUSALS = {
    "NoSuchKey": ("payload_gone", "The object of the pointer is gone."),
    "InvalidRange": ("payload_size", "The object's size is not what the message says."),
}
MAX_KEYS = 1000  # Amazon S3 API reference, "DeleteObjects"
# 256 parts of the largest body; one after the other, so that few are in memory.
TRANSFER = TransferConfig(
    multipart_threshold=8 * CHUNK, multipart_chunksize=8 * CHUNK, use_threads=False
)


class BodySizeError(ValueError):
    """A body is empty, or larger than the extended client libraries take."""


def client() -> Any:
    """Return a client of S3 that gives up while a function can still report it."""
    return aws.client("s3", read_timeout=10)


def put(s3: Any, bucket: str, prefix: str, body: Iterable[bytes]) -> Pointer:
    """Store a body under a new key, so that no other message's body is ever replaced.

    Raises:
        BodySizeError: it is empty or larger than 2 GB; nothing is stored.
    """
    stream, key = _Stream(body), f"{prefix}{uuid.uuid4()}"
    if not stream.peek():
        raise BodySizeError("The body is empty, which SQS does not take.")
    s3.upload_fileobj(stream, bucket, key, Config=TRANSFER)
    return Pointer(bucket, key, stream.count)


def fetch(s3: Any, pointer: Pointer) -> Iterator[bytes]:
    """Return a body, chunk by chunk: of a large one, S3 is asked for a part at a time.

    Raises:
        RefusedError: there is no such object, or it has another size than the message says.
    """
    part = {"Range": f"bytes=0-{PART - 1}"} if pointer.size > PART else {}
    try:
        answer = s3.get_object(Bucket=pointer.bucket, Key=pointer.key, **part)
    except ClientError as error:
        if aws.code(error) not in REFUSALS:
            raise
        raise RefusedError(*REFUSALS[aws.code(error)]) from None
    size = answer.get("ContentRange", "").rpartition("/")[2] or answer["ContentLength"]
    if int(size) != pointer.size:
        answer["Body"].close()
        raise RefusedError(*REFUSALS["InvalidRange"])
    return _parts(s3, pointer, answer)


def _parts(s3: Any, pointer: Pointer, answer: Any) -> Iterator[bytes]:
    yield from answer["Body"].iter_chunks(CHUNK)
    for start in range(PART, pointer.size, PART):
        part = {"Range": f"bytes={start}-{start + PART - 1}", "IfMatch": answer["ETag"]}
        answer = s3.get_object(Bucket=pointer.bucket, Key=pointer.key, **part)
        yield from answer["Body"].iter_chunks(CHUNK)


def delete(s3: Any, bucket: str, keys: Iterable[str]) -> int:
    """Delete bodies; return how many S3 did not delete."""
    failed = 0
    for some in aws.batches(keys, most=MAX_KEYS):
        objects: Any = {"Objects": [{"Key": key} for key in some], "Quiet": True}
        failed += len(s3.delete_objects(Bucket=bucket, Delete=objects).get("Errors", ()))
    return failed


class _Stream(io.RawIOBase):
    """Chunks as a file that is read once; it counts them, and ends with an error if too large."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left, self.count = iter(chunks), b"", 0

    def readable(self) -> bool:
        return True

    def peek(self) -> bytes:
        """Return what comes next, without reading it; nothing at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._left = bytes(chunk)
            self.count += len(chunk)
            if self.count > MAX_BYTES:
                raise BodySizeError(f"The body has more than {MAX_BYTES:,} bytes.")
        return self._left

    def read(self, size: int | None = -1) -> bytes:
        parts, wanted = [], MAX_BYTES + 1 if size is None or size < 0 else size
        while wanted and (left := self.peek()):
            parts.append(left[:wanted])
            self._left = left[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)
