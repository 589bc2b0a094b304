"""Where failed events are stored: a queue or a bucket, read in batches of ten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation import aws

from ..limits import SQS_BATCH_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = int(SQS_BATCH_ENTRIES)  # the calls are counted by it
POLL_SECONDS = 1
SHORTEST_HIDING = 300  # seconds


@dataclass
class Letter:
    """A message of a queue, or an object of a bucket, by its message id or its key.

    ``problem`` is why its body could not be read, or ""; ``given`` are its attributes as SQS
    returns them.
    """

    id: str
    body: str
    sent_at: float
    attributes: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    given: dict[str, Any] = field(default_factory=dict)


class Queue:
    """Failed events in an SQS queue; ``hiding`` is how long one stays hidden after it was read."""

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
        entries = [{"Id": id_, "ReceiptHandle": self._handles[id_]} for id_ in ids]
        answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        kept = {failure["Id"] for failure in answer.get("Failed", [])}
        for id_ in set(ids) - kept:
            del self._handles[id_]
        return len(kept)

    def release(self) -> None:
        """Let others see again what was not deleted; without that they wait a few minutes."""
        entries = [
            {"Id": id_, "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for id_, handle in self._handles.items()
        ]
        for ten in aws.batches(entries, most=BATCH):
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=ten)


class Bucket:
    """Failed events in a bucket that is a failure destination, below a prefix of its keys."""

    def __init__(self, s3: Any, name: str, prefix: str) -> None:
        self._s3, self._name, self._prefix = s3, name, prefix

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the objects, each once, up to ten at a time."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=self._prefix, PaginationConfig={"PageSize": BATCH}
        )
        for page in pages:
            yield [self._letter(found["Key"], found) for found in page.get("Contents", [])]

    def _letter(self, key: str, found: Any) -> Letter:
        written = found["LastModified"].timestamp()
        try:
            body = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read()
        except ClientError as error:  # archived, encrypted with another key, removed meanwhile
            return Letter(key, "", written, problem=aws.code(error))
        # What is not UTF-8 is unreadable, and nothing that anybody would send.
        return Letter(key, body.decode(errors="surrogateescape"), written)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete up to ten; return how many are still there."""
        objects = {"Objects": [{"Key": key} for key in ids], "Quiet": True}
        answer = self._s3.delete_objects(Bucket=self._name, Delete=objects)
        return len(answer.get("Errors", []))

    def release(self) -> None:
        """Do nothing: reading an object hides it from nobody."""


def _letter(message: Any) -> Letter:
    given = message.get("MessageAttributes", {})
    attributes = given.items()
    return Letter(
        message["MessageId"],
        message["Body"],
        int(message["Attributes"]["SentTimestamp"]) / 1000,
        {name: value["StringValue"] for name, value in attributes if "StringValue" in value},
        given=given,
    )
