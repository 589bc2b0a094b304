"""One redrive: what it found, sent and deleted, and what is still stored."""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import aws

from ..limits import SQS_MAX_VISIBILITY
from .records import FailedEvent, UnreadableError, read
from .sources import BATCH, SHORTEST_HIDING, Bucket, Queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .sources import Letter

DEFAULT_RATE = 10.0


@dataclass
class RedriveReport:
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
            text, kinds = name.replace("_", " "), value if isinstance(value, Counter) else Counter()
            lines.append(f"{kinds.total() if kinds else value or 0:>12,}  {text}")
            lines += [f"    {n:>8,}  {text}: {kind}" for kind, n in kinds.most_common()]
        return lines


@dataclass
class Redrive:
    """One run.

    Args:
        lambda_: Client that hands the events over.
        function: Name or ARN of the function, with its alias if it is invoked by one.
        rate: Events a second, at most.
        error: Only events whose error this finds. Default: all.
        limit: Only so many events. Default: all.
        dry_run: Only look.
        place: Region and account of the function, if ``function`` is its name; records of others
            stay where they are. Default: those in its ARN, else any.
    """

    lambda_: Any
    function: str
    rate: float = DEFAULT_RATE
    error: re.Pattern[str] = re.compile("")
    limit: float = math.inf
    dry_run: bool = False
    place: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        self.report = RedriveReport()
        self._started, self._turn = time.time(), time.monotonic()
        self._accepted: set[tuple[str, str]] = set()

    def run(self, sources: Iterable[Queue | Bucket]) -> RedriveReport:
        """Empty one source after the other."""
        for source in sources:
            try:
                for letters in source.batches():
                    self._batch(source, letters)
                    if self.report.matched >= self.limit:
                        break
            finally:
                source.release()
        return self.report

    def _batch(self, source: Queue | Bucket, letters: Sequence[Letter]) -> None:
        chosen = [
            (letter.id, _key(letter, event), event)
            for letter in letters
            if (event := self._choose(letter))
        ]
        if self.dry_run:
            return
        # An event's record and its dead letter have one key: the event is sent once.
        errors = self._send({key: event for _, key, event in chosen if key not in self._accepted})
        self._accepted |= {key for key, error in errors.items() if not error}
        self.report.sent_again = len(self._accepted)
        self.report.failed.update(filter(None, errors.values()))
        if done := [id_ for id_, key, _ in chosen if key in self._accepted]:
            try:
                self.report.not_deleted += source.delete(done)
            except (ClientError, BotoCoreError):
                self.report.not_deleted += len(done)

    def _choose(self, letter: Letter) -> FailedEvent | None:
        """Return the event to send again; None when it stays where it is."""
        report = self.report
        if report.matched >= self.limit:
            return None
        report.found += 1
        if letter.sent_at > self._started:
            report.newer_than_this_run += 1
            return None
        if letter.problem:
            report.unreadable[letter.problem] += 1
            return None
        try:
            event = read(letter.body, letter.attributes)
        except UnreadableError as error:
            report.unreadable[str(error)] += 1
            return None
        if event.function and not self._is_of_ours(event.function):
            report.of_other_functions += 1
            return None
        if not self.error.search(event.error):
            return None
        report.matched += 1
        report.errors[event.error.split(":", 1)[0]] += 1
        return event

    def _is_of_ours(self, arn: str) -> bool:
        """Whether a record names our function: a name alone may be another account's, too."""
        place = place_of(self.function) or self.place
        same_place = place is None or place_of(arn) in (None, place)
        return same_place and function_name(arn) == function_name(self.function)

    def _send(self, events: Mapping[tuple[str, str], FailedEvent]) -> dict[tuple[str, str], str]:
        """Hand events over, each when it is its turn; return why it was not accepted, or ""."""
        with ThreadPoolExecutor(BATCH) as pool:
            sent = {}
            for key, event in events.items():
                time.sleep(max(0.0, self._turn - time.monotonic()))
                self._turn = max(self._turn, time.monotonic()) + 1 / self.rate
                sent[key] = pool.submit(self._invoke, event.payload)
        return {key: future.result() for key, future in sent.items()}

    def _invoke(self, payload: bytes) -> str:
        try:
            self.lambda_.invoke(FunctionName=self.function, InvocationType="Event", Payload=payload)
        except (ClientError, BotoCoreError) as error:
            return aws.code(error)
        return ""


def _key(letter: Letter, event: FailedEvent) -> tuple[str, str]:
    """Return what an event's record and its dead letter have in common.

    A request's id alone could be that of another event, which would be deleted unsent: anybody who
    can write to the queue chooses it.
    """
    try:
        payload = json.dumps(json.loads(event.payload), sort_keys=True)
    except (ValueError, RecursionError):
        payload = event.payload.hex()
    return event.request_id or letter.id, payload


def function_name(function: str) -> str:
    """Return the name in a function's name, partial or full ARN, with or without a qualifier."""
    return function.rsplit("function:", 1)[-1].split(":", 1)[0]


def place_of(function: str) -> tuple[str, str] | None:
    """Return the Region and account in a function's ARN; None for a name."""
    parts = function.split(":")
    return (parts[3], parts[4]) if function.startswith("arn:") and len(parts) > 6 else None


def hiding(rate: float) -> int:
    """Return how long a batch must stay hidden so that it is done with before others see it."""
    return int(min(SQS_MAX_VISIBILITY, max(SHORTEST_HIDING, 3 * BATCH / rate)))
