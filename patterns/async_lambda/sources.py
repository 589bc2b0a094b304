"""Where failed events are stored: a queue or a bucket, read in batches of ten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from .records import Letter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

BATCH = 10  # of SQS; the calls are counted by it
POLL_SECONDS = 1
SHORTEST_HIDING = 300  # seconds


class Queue:
    """Failed events in an SQS queue.

    Args:
        sqs: Client.
        url: The queue's URL.
        hiding: Seconds that a message stays hidden after it was read.
    """

    def __init__(self, sqs: Any, url: str, hiding: int = SHORTEST_HIDING) -> None:
        self._sqs, self._url, self._hiding = sqs, url, hiding
        self._handles: dict[str, str] = {}

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the messages, each once, up to ten at a time."""
        while True:
            # A long poll asks every server, so one that finds nothing new is the end.
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=self._hiding,
                WaitTimeSeconds=POLL_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            found = {message["MessageId"]: message for message in answer.get("Messages", [])}
            new = [_letter(found[id_]) for id_ in found if id_ not in self._handles]
            self._handles |= {id_: found[id_]["ReceiptHandle"] for id_ in found}
            if not new:
                return
            yield new

    def delete(self, ids: Sequence[str]) -> int:
        """Delete up to ten; return how many are still there."""
        try:
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=self._entries(ids))
        except (ClientError, BotoCoreError):
            return len(ids)
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        for number, id_ in enumerate(ids):
            if str(number) not in failed:
                del self._handles[id_]
        return len(failed)

    def release(self) -> None:
        """Let others see again what was not deleted; without that they wait a few minutes."""
        for ids in _tens(list(self._handles)):
            entries = [entry | {"VisibilityTimeout": 0} for entry in self._entries(ids)]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def _entries(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return [{"Id": str(n), "ReceiptHandle": self._handles[id_]} for n, id_ in enumerate(ids)]


class Bucket:
    """Failed events in a bucket that is a failure destination.

    Args:
        s3: Client.
        name: The bucket's name.
        prefix: What the keys of the records begin with.
    """

    def __init__(self, s3: Any, name: str, prefix: str) -> None:
        self._s3, self._name, self._prefix = s3, name, prefix

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the objects, each once, up to ten at a time."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=self._prefix
        )
        for page in pages:
            for objects in _tens(page.get("Contents", [])):
                yield [self._letter(found["Key"], found["LastModified"]) for found in objects]

    def _letter(self, key: str, modified: datetime) -> Letter:
        body = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read().decode()
        return Letter(key, body, modified.timestamp())

    def delete(self, ids: Sequence[str]) -> int:
        """Delete up to ten; return how many are still there."""
        objects = {"Objects": [{"Key": key} for key in ids], "Quiet": True}
        try:
            answer = self._s3.delete_objects(Bucket=self._name, Delete=objects)
        except (ClientError, BotoCoreError):
            return len(ids)
        return len(answer.get("Errors", []))

    def release(self) -> None:
        """Do nothing: reading an object hides it from nobody."""


def _letter(message: Mapping[str, Any]) -> Letter:
    attributes = message.get("MessageAttributes", {}).items()
    return Letter(
        message["MessageId"],
        message["Body"],
        int(message["Attributes"]["SentTimestamp"]) / 1000,
        {name: value["StringValue"] for name, value in attributes if "StringValue" in value},
    )


def _tens(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))
