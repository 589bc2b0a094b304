"""Where failed events are stored: a queue or a bucket, read in batches of ten."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation import aws
from serverless_patterns.patterns.limits import FIREHOSE_BATCH_RECORDS, SQS_BATCH_ENTRIES

from .firehose import ErrorObject
from .records import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = int(SQS_BATCH_ENTRIES)  # the calls are counted by it
POLL_SECONDS = 1
SHORTEST_HIDING = 300  # seconds
HIDDEN_TOGETHER = 3_600  # seconds


@dataclass
class Letter:
    """A message of a queue, or an object of a bucket, by its message id or its key.

    ``problem`` is why its body could not be read, or ""; ``message`` is what SQS returned.
    """

    id: str
    body: str
    sent_at: float
    attributes: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    message: dict[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> dict[str, str]:
        """What SQS says of a message: how often it was received, its group, where it failed."""
        found: dict[str, str] = self.message.get("Attributes", {})
        return found


class Queue:
    """Failed events in an SQS queue; ``hiding`` is how long one stays hidden after it was read."""

    unit = "dead letters"
    together = BATCH  # letters that are handed over at once

    def __init__(self, sqs: Any, url: str, hiding: int = SHORTEST_HIDING) -> None:
        self._sqs, self.url, self.hiding = sqs, url, hiding
        self._handles: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.url.rpartition("/")[2]

    @property
    def ordered(self) -> bool:
        """Whether the messages of a group have an order."""
        return self.url.endswith(".fifo")

    @cached_property
    def arn(self) -> str:
        """Its ARN, of AWS."""
        return self._ask("QueueArn")["QueueArn"]

    def count(self) -> tuple[int, int]:
        """Return about how many messages it shows, and how many are hidden."""
        names = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        shown, hidden = (int(self._ask(*names)[name]) for name in names)
        return shown, hidden

    def _ask(self, *names: str) -> dict[str, str]:
        answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[*names])
        found: dict[str, str] = answer["Attributes"]
        return found

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the messages, each once, up to ten at a time.

        What stays may be shown again before all are read: that is not the end, unless as many
        come again as there are.
        """
        again = 0
        while again <= len(self._handles):
            # A long poll asks every server, so one that finds nothing is the end.
            answer = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=self.hiding,
                WaitTimeSeconds=POLL_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            found = {message["MessageId"]: message for message in answer.get("Messages", [])}
            new = [_letter(found[id_]) for id_ in found if id_ not in self._handles]
            self._handles |= {id_: found[id_]["ReceiptHandle"] for id_ in found}
            again = 0 if new else again + len(found)
            if not found:
                return
            if new:
                yield new

    def delete(self, ids: Sequence[str]) -> int:
        """Delete up to ten; return how many are still there."""
        entries = [{"Id": id_, "ReceiptHandle": self._handles[id_]} for id_ in ids]
        answer = self._sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
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
            self._sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=ten)


class InTurn(Queue):
    """Failed events whose group and turn their bodies name, in a queue that keeps no order.

    All are read before the first is handed over, up to the number that SQS hides at a time. Each
    comes alone, so what is behind one that is not accepted stays; what has no group comes last.

    Args:
        sqs: A client.
        url: Of the queue.
        order_by: The fields of an event with its group and its turn in it, such as
            ``("order_id", "version")``.
        hiding: Seconds, in which all are handed over.
    """

    def __init__(
        self, sqs: Any, url: str, order_by: tuple[str, str], hiding: int = HIDDEN_TOGETHER
    ) -> None:
        super().__init__(sqs, url, hiding)
        self._order_by = order_by

    @property
    def ordered(self) -> bool:
        """The messages of a group have an order."""
        return True

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the messages one by one: group by group, in turn."""
        group, turn = self._order_by
        known: list[tuple[str, float, float, Letter]] = []
        others: list[Letter] = []
        for letter in (one for letters in super().batches() for one in letters):
            try:
                said = json.loads(letter.body)
                said = json.loads(said["Message"]) if said.get("Type") == "Notification" else said
                known.append((str(said[group]), float(said[turn]), letter.sent_at, letter))
                letter.message.setdefault("Attributes", {})["MessageGroupId"] = str(said[group])
            except (ValueError, LookupError, TypeError, AttributeError):
                others.append(letter)
        known.sort(key=lambda one: one[:3])
        yield from ([letter] for letter in (*(one[-1] for one in known), *others))


class Bucket:
    """Failed events in a bucket, below a prefix of its keys: records of failures, or of Firehose.

    An object of Firehose has many events, and is written anew without those that were accepted once
    all of it was tried; one with none left is deleted.
    """

    unit = "objects"
    together = int(FIREHOSE_BATCH_RECORDS)  # letters that are handed over at once

    def __init__(self, s3: Any, name: str, prefix: str) -> None:
        self._s3, self.bucket, self.prefix = s3, name, prefix
        self.ordered = False
        self.name = f"{name}/{prefix}"
        self.arn = f"arn:aws:s3:::{name}"
        self._open: tuple[str, ErrorObject] | None = None
        self._numbers: dict[str, int] = {}  # in the open object, by the ids of its letters

    def count(self) -> tuple[int, int]:
        """Return how many objects there are; none is hidden."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        return sum(len(page.get("Contents", [])) for page in pages), 0

    def batches(self) -> Iterator[list[Letter]]:
        """Yield the letters, each once: those of an object of Firehose alone."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix, PaginationConfig={"PageSize": BATCH}
        )
        for page in pages:
            others = []
            for found in page.get("Contents", []):
                letter = self._letter(found["Key"], found)
                if events := self._events(letter, found["ETag"]):
                    yield events
                    self.release()
                else:
                    others.append(letter)
            yield others

    def _letter(self, key: str, found: Any) -> Letter:
        written = found["LastModified"].timestamp()
        try:
            body = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:  # archived, encrypted with another key, removed meanwhile
            return Letter(key, "", written, problem=aws.code(error))
        # What is not UTF-8 is unreadable, and nothing that anybody would send.
        return Letter(key, body.decode(errors="surrogateescape"), written)

    def _events(self, letter: Letter, version: str) -> list[Letter]:
        """Return the events in an object of Firehose; their ids change once it is written anew."""
        try:
            object_ = ErrorObject(letter.body)
        except UnreadableError:
            return []
        version, found = version.strip('"')[:8], []
        for number, document in enumerate(object_):
            tried = document.get("attemptEndingTimestamp", 1000 * letter.sent_at) / 1000
            id_ = f"{letter.id}#{version}-{number}"
            found.append(Letter(id_, json.dumps(document), tried))
        self._open = letter.id, object_
        self._numbers = {one.id: number for number, one in enumerate(found)}
        return found

    def delete(self, ids: Sequence[str]) -> int:
        """Delete objects, up to a thousand, or events of one; return how many are still there."""
        whole = [id_ for id_ in ids if id_ not in self._numbers]
        if self._open:
            self._open[1].gone |= {self._numbers[id_] for id_ in ids if id_ in self._numbers}
        if not whole:
            return 0
        objects = {"Objects": [{"Key": key} for key in whole], "Quiet": True}
        answer = self._s3.delete_objects(Bucket=self.bucket, Delete=objects)
        return len(answer.get("Errors", []))

    def release(self) -> None:
        """Write anew what some events are gone of; reading an object hides it from nobody."""
        (key, object_), self._open = self._open or ("", None), None
        if object_ is None or not object_.gone:
            return
        if left := object_.left():
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=left)
        else:
            self._s3.delete_object(Bucket=self.bucket, Key=key)


def _letter(message: Any) -> Letter:
    attributes = message.get("MessageAttributes", {}).items()
    return Letter(
        message["MessageId"],
        message["Body"],
        int(message["Attributes"]["SentTimestamp"]) / 1000,
        {name: value["StringValue"] for name, value in attributes if "StringValue" in value},
        message=message,
    )
