"""A pointer to a body in S3, in place of the body: the format of AWS's extended client libraries.

Pure: no AWS, no environment, no clock. Source:
https://github.com/awslabs/payload-offloading-java-common-lib-for-aws
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import strict_json
from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    @property
    def attributes(self) -> dict[str, Any]:
        """The attribute that tells it, to send with it."""
        return {SIZE: {"DataType": "Number", "StringValue": str(self.size)}}

    def check(self, bucket: str, prefix: str) -> Pointer:
        """Reject a pointer to anything but a body of ours.

        Whoever may send to the queue could name any object that its consumer may read, and have it
        deleted. So a pointer must be to the one bucket and prefix.

        Args:
            bucket: Name of the only bucket that is good.
            prefix: How the key must begin: "" or a folder that ends with /.

        Raises:
            RefusedError: it is to what is not ours.
        """
        if self.bucket != bucket:
            raise RefusedError("bucket", "The pointer is to another bucket.")
        rest = self.key.removeprefix(prefix)
        if not self.key.startswith(prefix) or not _KEY.fullmatch(rest) or len(self.key) > MAX_KEY:
            raise RefusedError("key", "The pointer is to a key that no sender of this queue makes.")
        return self


def find(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> Pointer | None:
    """Return the pointer in a message, or None if the body is in the message itself.

    Args:
        body: The message's body.
        attributes: Its attributes, as SQS or a Lambda event spells them.

    Raises:
        RefusedError: an attribute tells a pointer, but the body is none.
    """
    told = next((attributes[name] for name in (SIZE, LEGACY_SIZE) if name in attributes), None)
    if told is None:
        return None
    try:
        kind, where = strict_json.parse(body)
        size = int(told.get("StringValue") or told.get("stringValue") or "")
        found = Pointer(where["s3BucketName"], where["s3Key"], size)
        named = isinstance(found.bucket, str) and isinstance(found.key, str)
        if kind in KINDS and len(where) == 2 and named and 1 <= found.size <= MAX_BYTES:
            return found
    except (RefusedError, KeyError, TypeError, ValueError):
        pass
    raise RefusedError("pointer", "The body is no pointer, as its attributes say.")
