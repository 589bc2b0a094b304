"""Send failed events to their function again, and delete those that Lambda accepted.

Reads invocation records (from a queue that is the failure destination or behind it, or from a
failure bucket) and dead letters. Nothing is deleted before Lambda has accepted its event; stopped
in between, an event is sent twice and never lost, so the function must be idempotent. An event that
fails again during a run is left for the next one. Uses the AWS credentials and the Region of your
shell.

    python -m serverless_patterns.patterns.async_lambda.redrive \
        --function FUNCTION --queue-url URL --dry-run

Amazon SQS's own redrive does not work for these queues: it moves messages back to the queue that
they came from, and these come from Lambda.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ..limits import SQS_MAX_VISIBILITY
from .records import FailedEvent, UnreadableError, read
from .sources import BATCH, SHORTEST_HIDING, Bucket, Queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .records import Letter

    Invoke = Callable[[bytes], None]

__all__ = ["Bucket", "Queue", "Redrive", "Report", "hiding", "invoker", "main"]

DEFAULT_RATE = 10.0


@dataclass
class Report:
    """What became of the failed events."""

    found: int = 0  # messages and objects looked at
    matched: int = 0  # those that the filter lets through
    sent_again: int = 0  # events accepted by Lambda; one that is stored twice is sent once
    failed: Counter[str] = field(default_factory=Counter)  # to be accepted, by error; kept
    not_deleted: int = 0  # accepted, but still there: the next run sends it once more
    unreadable: Counter[str] = field(default_factory=Counter)  # by reason; kept
    of_other_functions: int = 0  # kept
    newer_than_this_run: int = 0  # failed after this run had started; kept
    errors: Counter[str] = field(default_factory=Counter)  # why the matched events had failed

    @property
    def good(self) -> bool:
        """Whether nothing needs a second look."""
        return not (self.failed or self.not_deleted or self.unreadable)

    def lines(self) -> list[str]:
        """Return the report as text."""
        lines = []
        for name, value in vars(self).items():
            text, kinds = name.replace("_", " "), value if isinstance(value, Counter) else None
            lines.append(f"{value if kinds is None else kinds.total():>12,}  {text}")
            for kind, count in kinds.most_common() if kinds else ():
                lines.append(f"    {count:>8,}  {text}: {kind}")
        return lines


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
        self._started = time.time()
        self._accepted: set[str] = set()
        self._turn, self._lock = 0.0, threading.Lock()

    def run(self, sources: Iterable[Queue | Bucket]) -> Report:
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

    def _batch(self, source: Queue | Bucket, letters: Sequence[Letter]) -> None:
        chosen = [(letter, event) for letter in letters if (event := self._choose(letter))]
        new: dict[str, FailedEvent] = {}  # an event's record and its dead letter: sent once
        for letter, event in chosen:
            if (key := event.request_id or letter.id) not in self._accepted:
                new.setdefault(key, event)
        if self.dry_run:
            self._accepted |= new.keys()
            return
        with ThreadPoolExecutor(BATCH) as pool:
            errors = dict(zip(new, pool.map(self._send, new.values()), strict=True))
        self._accepted |= {key for key, error in errors.items() if not error}
        self.report.sent_again += sum(not error for error in errors.values())
        self.report.failed.update(error for error in errors.values() if error)
        done = [one.id for one, event in chosen if (event.request_id or one.id) in self._accepted]
        if done:
            self.report.not_deleted += source.delete(done)

    def _choose(self, letter: Letter) -> FailedEvent | None:
        """Return the event to send again; None when it stays where it is."""
        report = self.report
        if self._full:
            return None
        report.found += 1
        if letter.sent_at > self._started:
            report.newer_than_this_run += 1
            return None
        try:
            event = read(letter)
        except UnreadableError as error:
            report.unreadable[str(error)] += 1
            return None
        if event.function and function_name(event.function) != function_name(self.function):
            report.of_other_functions += 1
            return None
        if self.error and not self.error.search(event.error):
            return None
        report.matched += 1
        report.errors[event.error.split(":", 1)[0]] += 1
        return event

    def _send(self, event: FailedEvent) -> str:
        """Hand an event over when it is its turn; return why it was not accepted."""
        with self._lock:
            turn = max(time.monotonic(), self._turn)
            self._turn = turn + 1 / self.rate
        time.sleep(max(0.0, turn - time.monotonic()))
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
    """Return a call that hands an event to a function, asynchronously."""

    def invoke(payload: bytes) -> None:
        lambda_.invoke(FunctionName=function, InvocationType="Event", Payload=payload)

    return invoke


def hiding(rate: float) -> int:
    """Return how long a batch must stay hidden so that it is done with before others see it."""
    return int(min(SQS_MAX_VISIBILITY, max(SHORTEST_HIDING, 3 * BATCH / rate)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when everything that matched was accepted and deleted."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.queue_url and not given.bucket:
        parser.error("give --queue-url or --bucket, or both")
    if not 0 < given.rate < math.inf or (given.limit is not None and given.limit < 1):
        parser.error("--rate and --limit must be above 0")
    try:
        error = re.compile(given.error)
    except re.error as problem:
        parser.error(f"--error is not a regular expression: {problem}")
    invoke = invoker(boto3.client("lambda"), given.function)
    run = Redrive(given.function, invoke, given.rate, error, given.limit, given.dry_run)
    sources: list[Queue | Bucket] = [
        Queue(boto3.client("sqs"), url, hiding(given.rate)) for url in given.queue_url
    ]
    if given.bucket:
        prefix = given.prefix or f"aws/lambda/async/{function_name(given.function)}/"
        sources.append(Bucket(boto3.client("s3"), given.bucket, prefix))
    stopped = []
    try:
        run.run(sources)
    except (KeyboardInterrupt, ClientError, BotoCoreError) as error:
        stopped = [f"Stopped: {error or 'by you'}. Events that were not accepted are still there."]
    dry = ["Dry run: nothing was changed."] if given.dry_run else []
    print("\n".join([*stopped, *dry, *run.report.lines()]))
    if given.json:
        given.json.write_text(json.dumps(vars(run.report), indent=2) + "\n", encoding="utf-8")
    return 0 if run.report.good and not stopped else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.patterns.async_lambda.redrive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--function", required=True, help="name or ARN, with the alias if it is invoked by one")
    add("--queue-url", action="append", default=[], help="failure or dead-letter queue; several")
    add("--bucket", help="failure bucket")
    add("--prefix", help="keys in it (default: aws/lambda/async/<function>/)")
    add("--error", default="", help="only errors that this regular expression finds")
    add("--rate", type=float, default=DEFAULT_RATE, help="events a second (default: 10)")
    add("--limit", type=int, help="only so many events")
    add("--dry-run", action="store_true", help="only look, send nothing")
    add("--json", type=Path, metavar="FILE", help="write the report there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
