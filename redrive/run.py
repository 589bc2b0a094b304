"""One redrive: what it found, who accepted it, and what is still stored."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import aws, redrives
from serverless_patterns.patterns.limits import SQS_MAX_VISIBILITY

from . import records
from .sources import BATCH, SHORTEST_HIDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .journal import Journal
    from .sources import Bucket, Letter, Queue
    from .ways import Way

DEFAULT_RATE = 10.0
RETURNED = "failed again after a redrive: fix the cause, then add --again"
# Why a letter stays that needs no second look.
FILTERED, LIMIT, NEWER = "not matched", "over the limit", "newer than this run"
OTHERS, BEHIND = "of another function", redrives.BEHIND
FINE = (FILTERED, LIMIT, NEWER, OTHERS)


@dataclass
class Report:
    """What became of the dead letters."""

    found: int = 0  # looked at
    matched: int = 0  # to be redriven
    accepted: int = 0  # by whom they were meant for, and deleted here
    resumed: int = 0  # accepted by a run that was stopped; deleted now
    not_deleted: int = 0  # accepted, but still there: the next run sends them once more
    kept: Counter[str] = field(default_factory=Counter)  # still there, by why
    reasons: Counter[str] = field(default_factory=Counter)  # why the matched ones had failed

    @property
    def good(self) -> bool:
        """Whether nothing needs a second look."""
        return not self.not_deleted and all(why in FINE for why in self.kept)

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

    Attributes:
        way: How a letter goes to whom it was meant for.
        rate: Letters a second, at most.
        error: Only letters whose reason this finds. Default: all.
        limit: Only so many letters. Default: all.
        dry_run: Only look.
        again: Also those that failed again after an earlier redrive.
        would_fail: Says of a failed event why it would fail again, or ""; raising says so, too.
            Default: what the receiver does with it shows.
        journal: What was redriven before. Default: nothing is known, and nothing is written down.
        progress: Called after each step. Default: nothing.
    """

    way: Way
    rate: float = DEFAULT_RATE
    error: re.Pattern[str] = re.compile("")
    limit: float = math.inf
    dry_run: bool = False
    again: bool = False
    would_fail: Callable[[bytes], str] | None = None
    journal: Journal | None = None
    progress: Callable[[Report], None] = lambda _: None

    def __post_init__(self) -> None:
        self.report = Report()
        self._started, self._turn = time.time(), time.monotonic()
        self._stopped: set[str] = set()  # groups of a FIFO queue, from a letter that stays on

    def run(self, sources: Iterable[Queue | Bucket]) -> Report:
        """Empty one source after the other."""
        for source in sources:
            if self.journal and not self.dry_run:
                self.journal.note(source, ())  # to fail before anything is sent
            try:
                for letters in source.batches():
                    self._batch(source, letters)
                    if self.report.matched >= self.limit:
                        break
            finally:
                source.release()
        return self.report

    def _batch(self, source: Queue | Bucket, letters: Sequence[Letter]) -> None:
        chosen = [letter for letter in letters if self._chosen(source, letter)]
        if self.dry_run:
            if check := getattr(self.way, "check", None):
                self.report.kept.update(check(chosen).values())
            self.progress(self.report)
            return
        done = [one for one in chosen if self.journal and self.journal.accepted(source, one)]
        self.report.resumed += len(done)
        self._delete(source, done)
        left = [one for one in chosen if one not in done]
        for some in aws.batches(left, most=max(1, min(source.together, int(self.rate)))):
            self._hand_over(source, some)
            self.progress(self.report)

    def _chosen(self, source: Queue | Bucket, letter: Letter) -> bool:
        why = self._why_it_stays(source, letter)
        group = letter.system.get("MessageGroupId", "") if source.ordered else ""
        if not why and group in self._stopped:
            why = BEHIND
        if not why:
            self.report.matched += 1
            self.report.reasons[records.reason(letter).split(":", 1)[0]] += 1
        if why != LIMIT:
            self.report.found += 1
        if why and why != LIMIT:
            self.report.kept[why] += 1
        if why and group:
            self._stopped.add(group)
        return not why

    def _why_it_stays(self, source: Queue | Bucket, letter: Letter) -> str:
        if self.report.matched >= self.limit:
            return LIMIT
        if letter.sent_at > self._started:
            return NEWER
        if letter.problem:
            return letter.problem
        if not self.error.search(records.reason(letter)):
            return FILTERED
        journal = self.journal
        if journal and journal.accepted(source, letter):
            return ""
        if self.would_fail and (why := _failure(self.would_fail, records.event(letter))):
            return f"would fail again: {why}"
        if self.again:
            return ""
        if redrives.times(letter.message) or (journal and journal.returned(source, letter)):
            return RETURNED
        return ""

    def _hand_over(self, source: Queue | Bucket, letters: Sequence[Letter]) -> None:
        """Hand letters over when it is their turn, then delete those that were accepted."""
        time.sleep(max(0.0, self._turn - time.monotonic()))
        self._turn = max(self._turn, time.monotonic()) + len(letters) / self.rate
        failed = self.way.deliver(letters)
        for letter in letters:
            if why := failed.get(letter.id):
                self.report.kept[why] += 1
                if source.ordered:
                    self._stopped.add(letter.system.get("MessageGroupId", ""))
        accepted = [letter for letter in letters if letter.id not in failed]
        self.report.accepted += len(accepted)
        if self.journal:
            self.journal.note(source, accepted)
        self._delete(source, accepted)

    def _delete(self, source: Queue | Bucket, letters: Sequence[Letter]) -> None:
        for some in aws.batches(letters, most=BATCH):
            try:
                self.report.not_deleted += source.delete([letter.id for letter in some])
            except (ClientError, BotoCoreError):
                self.report.not_deleted += len(some)


def _failure(would_fail: Callable[[bytes], str], event: bytes) -> str:
    try:
        return would_fail(event)
    except Exception as error:
        return type(error).__name__


def hiding(rate: float, longest: float = 0) -> int:
    """Return how long a batch must stay hidden so that it is done with before others see it."""
    return int(min(SQS_MAX_VISIBILITY, max(SHORTEST_HIDING, longest, 3 * BATCH / rate)))
