"""The wire format of AWS's extended client libraries: a pointer to S3 in place of a body.

Pure: no AWS, no environment, no clock. Source:
https://github.com/awslabs/payload-offloading-java-common-lib-for-aws
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..foundation import strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message

MAX_BYTES = 2 * 1024**3  # of a body, in the extended client libraries
SIZE, LEGACY_SIZE = "ExtendedPayloadSize", "SQSLargePayloadSize"  # attributes that tell a pointer
KIND = "software.amazon.payloadoffloading.PayloadS3Pointer"
KINDS = (KIND, "com.amazon.sqs.javamessaging.MessageS3Pointer")
MAX_KEY = 1024
# No part of a key is empty, ".", or ".."; none begins with a sign or has one that needs encoding.
_KEY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)


@dataclass(frozen=True)
class Pointer:
    """Where a body is.

    Attributes:
        bucket: Name of the bucket, as the pointer claims it.
        key: The object's key, as the pointer claims it.
        size: Bytes of the body, as the message claims it.
    """

    bucket: str
    key: str
    size: int

    @property
    def body(self) -> str:
        """What is sent in place of the body."""
        return json.dumps([KIND, {"s3BucketName": self.bucket, "s3Key": self.key}])


def pointer(body: str, claimed: str | None, bucket: str, prefix: str) -> Pointer | None:
    """Return the pointer in a message, or None if the body is in the message itself.

    Whoever may send to the queue could name any object that its consumer may read, and have it
    deleted. So a pointer must be to the one bucket and prefix.

    Args:
        body: The message's body.
        claimed: The attribute with the size; None if it has none, so that it is no pointer.
        bucket: Name of the only bucket that is good.
        prefix: What its key must begin with; "" or a folder that ends with /.

    Raises:
        RefusedError: it is no pointer, or to what is not ours.
    """
    if claimed is None:
        return None
    found = _parse(body, claimed)
    if found.bucket != bucket:
        raise RefusedError("bucket", "The pointer is to another bucket.")
    rest = found.key.removeprefix(prefix)
    if not found.key.startswith(prefix) or not _KEY.fullmatch(rest) or len(found.key) > MAX_KEY:
        raise RefusedError("key", "The pointer is to a key that no sender of this queue makes.")
    return found


def pointer_in(message: Message, bucket: str, prefix: str) -> Pointer | None:
    """Return the pointer in a message from a Lambda event. See ``pointer``."""
    names = [name for name in (SIZE, LEGACY_SIZE) if name in message.attributes]
    return pointer(message.body, message.text(names[0]) if names else None, bucket, prefix)


def _parse(body: str, claimed: str) -> Pointer:
    try:
        kind, where = strict_json.parse(body)
        found = Pointer(where["s3BucketName"], where["s3Key"], int(claimed))
    except (RefusedError, KeyError, TypeError, ValueError):
        raise RefusedError("pointer", "The body is no pointer, as its attributes say.") from None
    named = isinstance(found.bucket, str) and isinstance(found.key, str)
    if kind not in KINDS or len(where) != 2 or not named or not 1 <= found.size <= MAX_BYTES:
        raise RefusedError("pointer", "The body is no pointer, as its attributes say.")
    return found


def size_of(attributes: Mapping[str, Mapping[str, str | bytes]]) -> int:
    """Return the bytes that attributes count to a message: names, types and values.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    texts = [text for name, value in attributes.items() for text in (name, *value.values())]
    return sum(len(text.encode() if isinstance(text, str) else text) for text in texts)
