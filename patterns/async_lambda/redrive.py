"""Send failed events to their function again, and clear away what was accepted.

Reads invocation records (from a queue that is the failure destination or behind it, or from a
failure bucket) and dead letters. Nothing is deleted before Lambda has accepted its event; stopped
in between, an event is sent twice and never lost, so the function must be idempotent. What fails
again during a run is left for the next one. Uses the AWS credentials and the region of your shell.

    python -m serverless_patterns.patterns.async_lambda.redrive \
        --function FUNCTION --queue-url URL --dry-run

Amazon SQS's own redrive does not work for these queues: it moves messages back to the queue that
they came from, and these come from Lambda.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Invoke = Callable[[bytes], None]

BATCH = 10  # of SQS; what the calls are counted by
POLL_SECONDS = 1
DEFAULT_RATE = 10.0
SHORTEST_HIDING = 300  # seconds
LONGEST_HIDING = 12 * 3600


class UnreadableError(Exception):
    """What lies there is neither a record nor a dead letter, or has no event in it."""


@dataclass(frozen=True)
class FailedEvent:
    """An event that a function could not process.

    Args:
        payload: The event, byte for byte as the record or the dead letter has it.
        error: Why, such as ``Sandbox.Timedout: Task timed out after 3.00 seconds``.
        request_id: Lambda's id of the event: its record and its dead letter have the same one.
        function: ARN of the function as the record tells it; a dead letter does not.
    """

    payload: bytes
    error: str
    request_id: str = ""
    function: str = ""


@dataclass
class Letter:
    """A message of a queue or an object of a bucket; ``handle`` deletes it."""

    id: str
    body: str
    handle: str
    sent_at: float
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """What became of what was found.

    Args:
        found: Messages and objects looked at.
        matched: Those that the filter lets through.
        sent_again: Events accepted by Lambda: one that lies there twice is sent once.
        failed: Not accepted, by error; kept.
        not_deleted: Accepted, but still there: the next run sends it once more.
        unreadable: Kept, by reason.
        other_function: Kept: records of another function.
        newer: Kept: failed after this run had started.
        errors: Why the matched events had failed, by kind.
    """

    found: int = 0
    matched: int = 0
    sent_again: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    not_deleted: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    other_function: int = 0
    newer: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether nothing needs a second look."""
        return not (self.failed or self.not_deleted or self.unreadable)

    def lines(self) -> list[str]:
        """Return the report as text."""
        rows = {
            "found": self.found,
            "matched": self.matched,
            "sent again": self.sent_again,
            "not accepted, kept": self.failed.total(),
            "not deleted": self.not_deleted,
            "unreadable, kept": self.unreadable.total(),
            "of other functions, kept": self.other_function,
            "newer than this run, kept": self.newer,
        }
        details = [
            f"    {count:>8,}  {what}: {kind}"
            for what, counter in (
                ("had failed with", self.errors),
                ("not accepted", self.failed),
                ("unreadable", self.unreadable),
            )
            for kind, count in counter.most_common()
        ]
        return [f"{count:>12,}  {name}" for name, count in rows.items()] + details


class Source(Protocol):
    """Where failed events lie."""

    def batches(self) -> Iterator[list[Letter]]:
        """Yield what lies there, each once, up to ten at a time."""

    def delete(self, letters: Sequence[Letter]) -> int:
        """Delete up to ten; return how many are still there."""

    def release(self) -> None:
        """Let others see again what was not deleted."""


class Queue:
    """Failed events in an SQS queue.

    Args:
        sqs: Client.
        url: The queue's URL.
        hiding: Seconds that a message stays hidden after it was read.
    """

    def __init__(self, sqs: Any, url: str, hiding: int = SHORTEST_HIDING) -> None:
        self._sqs, self._url, self._hiding = sqs, url, hiding
        self._kept: dict[str, Letter] = {}

    def batches(self) -> Iterator[list[Letter]]:
        """Yield what lies there, each once, up to ten at a time."""
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
            letters = [self._letter(message) for message in answer.get("Messages", [])]
            new = [letter for letter in letters if letter.id not in self._kept]
            self._kept |= {letter.id: letter for letter in letters}
            if not new:
                return
            yield new

    @staticmethod
    def _letter(message: Mapping[str, Any]) -> Letter:
        return Letter(
            id=message["MessageId"],
            body=message["Body"],
            handle=message["ReceiptHandle"],
            sent_at=int(message["Attributes"]["SentTimestamp"]) / 1000,
            attributes={
                name: value["StringValue"]
                for name, value in message.get("MessageAttributes", {}).items()
                if "StringValue" in value
            },
        )

    def delete(self, letters: Sequence[Letter]) -> int:
        """Delete up to ten; return how many are still there."""
        entries = [
            {"Id": str(number), "ReceiptHandle": self._kept[letter.id].handle}
            for number, letter in enumerate(letters)
        ]
        try:
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            return len(letters)
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        for number, letter in enumerate(letters):
            if str(number) not in failed:
                del self._kept[letter.id]
        return len(failed)

    def release(self) -> None:
        """Let others see again what was not deleted; without that they wait a few minutes."""
        handles = [letter.handle for letter in self._kept.values()]
        for first in range(0, len(handles), BATCH):
            self._sqs.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for number, handle in enumerate(handles[first : first + BATCH])
                ],
            )


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
        """Yield what lies there, each once, up to ten at a time."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=self._prefix
        )
        for page in pages:
            objects = page.get("Contents", [])
            for first in range(0, len(objects), BATCH):
                yield [self._letter(found) for found in objects[first : first + BATCH]]

    def _letter(self, found: Mapping[str, Any]) -> Letter:
        key = found["Key"]
        body = self._s3.get_object(Bucket=self._name, Key=key)["Body"].read().decode()
        return Letter(id=key, body=body, handle=key, sent_at=found["LastModified"].timestamp())

    def delete(self, letters: Sequence[Letter]) -> int:
        """Delete up to ten; return how many are still there."""
        try:
            answer = self._s3.delete_objects(
                Bucket=self._name,
                Delete={"Objects": [{"Key": letter.handle} for letter in letters], "Quiet": True},
            )
        except (ClientError, BotoCoreError):
            return len(letters)
        return len(answer.get("Errors", []))

    def release(self) -> None:
        """Do nothing: reading an object hides it from nobody."""


def read(letter: Letter) -> FailedEvent:
    """Return the failed event in a message or an object.

    Forms: AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations". A
    record may come wrapped by the topic or the event bus in front of the queue.

    Raises:
        UnreadableError: there is none.
    """
    if "RequestID" in letter.attributes:
        return _dead_letter(letter.body, letter.attributes)
    text, document = letter.body, _object(letter.body)
    if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
        attributes = {
            name: str(value.get("Value")) for name, value in _dict(document, "MessageAttributes")
        }
        if "RequestID" in attributes:
            return _dead_letter(document["Message"], attributes)
        text, document = document["Message"], _object(document["Message"])
    elif isinstance(document.get("detail"), dict):
        text, document = _member(text, "detail"), document["detail"]
    return _record(text, document)


def _dead_letter(body: str, attributes: Mapping[str, str]) -> FailedEvent:
    kind = attributes.get("Reason") or attributes.get("ErrorCode", "")
    message = attributes.get("ReasonDetail") or attributes.get("ErrorMessage", "")
    return FailedEvent(body.encode(), f"{kind}: {message}", attributes["RequestID"])


def _record(text: str, document: Mapping[str, Any]) -> FailedEvent:
    context = document.get("requestContext")
    if not isinstance(context, dict) or "condition" not in context:
        raise UnreadableError("neither an invocation record nor a dead letter")
    if context["condition"] == "Success":
        raise UnreadableError("a record of success")
    if "requestPayload" not in document:
        # Left out by Lambda when the record would be too large: the dead letter has the event.
        raise UnreadableError("a record without its event")
    response = document.get("responsePayload")
    response = response if isinstance(response, dict) else {}
    message = response.get("errorMessage") or response.get("message")
    kind = response.get("errorType") or ("Error" if message else context["condition"])
    return FailedEvent(
        payload=_member(text, "requestPayload").encode(),
        error=f"{kind}: {message}" if message else str(kind),
        request_id=str(context.get("requestId", "")),
        function=str(context.get("functionArn", "")),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableError("not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableError("neither an invocation record nor a dead letter")
    return document


def _dict(document: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    value = document.get(name)
    return value.items() if isinstance(value, dict) else ()


def _member(text: str, name: str) -> str:
    """Return the text of a member of a JSON object as it stands there: no number is rounded."""
    decode = json.JSONDecoder().raw_decode
    found = ""
    end = text.index("{") + 1
    while True:
        key, end = decode(text, _skip(text, end, " \t\r\n,"))
        start = _skip(text, end, " \t\r\n:")
        _, end = decode(text, start)
        if key == name:
            found = text[start:end]
        if text[_skip(text, end, " \t\r\n")] == "}":
            return found


def _skip(text: str, position: int, characters: str) -> int:
    while text[position] in characters:
        position += 1
    return position


class Pace:
    """Lets so many calls a second go ahead, from any thread."""

    def __init__(self, per_second: float) -> None:
        self._seconds_each = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the next turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._seconds_each
        time.sleep(turn - now)


@dataclass
class Redrive:
    """One run.

    Args:
        function: Name or ARN of the function, with its alias if it is invoked by one.
        invoke: Hands an event over; raises when Lambda does not accept it.
        rate: Events a second, at most.
        error: Only events whose error this finds. Default: all.
        limit: Only so many events. Default: all.
        dry_run: Only look.
    """

    function: str
    invoke: Invoke
    rate: float = DEFAULT_RATE
    error: re.Pattern[str] | None = None
    limit: int | None = None
    dry_run: bool = False
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self._pace = Pace(self.rate)
        self._started = time.time()
        self._accepted: set[str] = set()

    def run(self, sources: Iterable[Source]) -> Report:
        """Empty one source after the other."""
        for source in sources:
            try:
                for letters in source.batches():
                    self._batch(source, letters)
                    if self._full:
                        break
            finally:
                source.release()
        return self.report

    @property
    def _full(self) -> bool:
        return self.limit is not None and self.report.matched >= self.limit

    def _batch(self, source: Source, letters: Sequence[Letter]) -> None:
        chosen = [(letter, event) for letter in letters if (event := self._choose(letter))]
        first: dict[str, FailedEvent] = {}  # an event's record and its dead letter: sent once
        for letter, event in chosen:
            first.setdefault(event.request_id or letter.id, event)
        new = {key: event for key, event in first.items() if key not in self._accepted}
        if self.dry_run:
            self._accepted |= new.keys()
            return
        with ThreadPoolExecutor(BATCH) as pool:
            failures = dict(zip(new, pool.map(self._send, new.values()), strict=True))
        self._accepted |= {key for key, failure in failures.items() if not failure}
        self.report.sent_again += sum(not failure for failure in failures.values())
        self.report.failed.update(failure for failure in failures.values() if failure)
        done = [
            letter for letter, event in chosen if (event.request_id or letter.id) in self._accepted
        ]
        if done:
            self.report.not_deleted += source.delete(done)

    def _choose(self, letter: Letter) -> FailedEvent | None:
        """Return the event to send again; None when it stays where it is."""
        report = self.report
        if self._full:
            return None
        report.found += 1
        if letter.sent_at > self._started:
            report.newer += 1
            return None
        try:
            event = read(letter)
        except UnreadableError as error:
            report.unreadable[str(error)] += 1
            return None
        if event.function and function_name(event.function) != function_name(self.function):
            report.other_function += 1
            return None
        if self.error and not self.error.search(event.error):
            return None
        report.matched += 1
        report.errors[event.error.split(":", 1)[0]] += 1
        return event

    def _send(self, event: FailedEvent) -> str:
        """Hand an event over; return why it was not accepted."""
        self._pace.wait()
        try:
            self.invoke(event.payload)
        except ClientError as error:
            return error.response["Error"]["Code"]
        except BotoCoreError as error:
            return type(error).__name__
        return ""


def function_name(function: str) -> str:
    """Return the name in a function's name, partial or full ARN, with or without a qualifier."""
    return function.rsplit("function:", 1)[-1].split(":", 1)[0]


def invoker(lambda_: Any, function: str) -> Invoke:
    """Return what hands an event to a function, asynchronously."""

    def invoke(payload: bytes) -> None:
        lambda_.invoke(FunctionName=function, InvocationType="Event", Payload=payload)

    return invoke


def hiding(rate: float) -> int:
    """Return how long a batch must stay hidden so that it is done with before others see it."""
    return int(min(LONGEST_HIDING, max(SHORTEST_HIDING, 3 * BATCH / rate)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when everything that matched was accepted and cleared away."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.queue_url and not options.bucket:
        parser.error("give --queue-url or --bucket, or both")
    run = Redrive(
        function=options.function,
        invoke=invoker(boto3.client("lambda"), options.function),
        rate=options.rate,
        error=options.error,
        limit=options.limit,
        dry_run=options.dry_run,
    )
    sources: list[Source] = [
        Queue(boto3.client("sqs"), url, hiding(options.rate)) for url in options.queue_url
    ]
    if options.bucket:
        prefix = options.prefix or f"aws/lambda/async/{function_name(options.function)}/"
        sources.append(Bucket(boto3.client("s3"), options.bucket, prefix))
    try:
        report = run.run(sources)
        stopped = ""
    except (KeyboardInterrupt, ClientError, BotoCoreError) as error:
        report = run.report
        stopped = f"Stopped: {error or 'by you'}. What was not accepted is still there."
    heading = [stopped] * bool(stopped) + ["Dry run: nothing was changed."] * options.dry_run
    print("\n".join(heading + report.lines()))
    if options.json:
        options.json.write_text(json.dumps(vars(report), indent=2) + "\n", encoding="utf-8")
    return 0 if report.good and not stopped else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.patterns.async_lambda.redrive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--function", required=True, help="name or ARN, with the alias if it is invoked by one"
    )
    parser.add_argument(
        "--queue-url", action="append", default=[], help="failure queue, dead-letter queue; several"
    )
    parser.add_argument("--bucket", help="failure bucket")
    parser.add_argument("--prefix", help="keys in it (default: aws/lambda/async/<function>/)")
    parser.add_argument(
        "--error", type=_pattern, help="only errors that this regular expression finds"
    )
    parser.add_argument(
        "--rate", type=_positive(float), default=DEFAULT_RATE, help="events a second (default: 10)"
    )
    parser.add_argument("--limit", type=_positive(int), help="only so many events")
    parser.add_argument("--dry-run", action="store_true", help="only look, send nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    return parser


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from None


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
