"""Files of newline-delimited JSON in S3, in a folder for each day: the only file that calls it."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from . import logic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .logic import PriceChange
    from .messages import Message

PREFIX = "price-changes"


@functools.cache
def client() -> Any:
    """Return the client, made on first use."""
    return boto3.client("s3", config=aws.config(read_timeout=5))


def write(received: Iterable[tuple[PriceChange, Message]]) -> dict[str, str]:
    """Write price changes, one file for each day they were made on; return codes by message id.

    A file's name is made of its messages' ids, so a batch that is delivered again as it was
    replaces its own files. In another batch it makes a second line: readers take each ``event_id``
    once.
    """
    days: dict[str, list[tuple[PriceChange, Message]]] = {}
    for change, message in received:
        days.setdefault(f"{change.changed_at:%Y-%m-%d}", []).append((change, message))
    failed: dict[str, str] = {}
    for day, lines in days.items():
        ids = [message.id for _, message in lines]
        try:
            client().put_object(
                Bucket=os.environ["BUCKET_NAME"],
                Key=f"{PREFIX}/date={day}/{_name(ids)}.ndjson",
                Body=b"".join(logic.line(change) for change, _ in lines),
                ContentType="application/x-ndjson",
            )
        except (ClientError, BotoCoreError) as error:
            failed |= dict.fromkeys(ids, aws.code(error))
    return failed


def _name(message_ids: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(sorted(message_ids)).encode()).hexdigest()[:32]
