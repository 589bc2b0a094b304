"""Schedules without end: a million events through every handler, or through those of a pattern.

    make torture                         # a million events, by a seed that is printed
    make torture EVENTS=20000 PATTERN=async_lambda
    make torture SEED=7 SCHEDULE=31      # the one that failed, again

A schedule is known by the seed and its number, whatever ran before it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from . import reliability
from .schedules import Schedule, found

# A run of fewer events is not worth a line of the page.
LEAST = 3_000
HEAD = "| Handlers | What went wrong | Counted | Machine |\n|---|---|---|---|"
# Schedules that a process plays before it says how they went.
PART = 50


@dataclass
class Played:
    """What some schedules did."""

    events: int = 0
    deliveries: int = 0
    schedules: int = 0
    trouble: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Played) -> Played:
        self.events += other.events
        self.deliveries += other.deliveries
        self.schedules += other.schedules
        self.trouble += other.trouble
        self.failures += other.failures
        return self


def play(seed: int, pattern: str, numbers: range) -> Played:
    """Play schedules by their numbers: each handler has every so many of them."""
    handlers = [one for one in found() if one[0].startswith(pattern)]
    if not handlers:
        sys.exit(f"No handler of {pattern} is declared in tests/*/handlers.py.")
    played = Played()
    for number in numbers:
        name, delivered = handlers[number % len(handlers)]
        schedule = Schedule(delivered, random.Random(f"{seed}/{number}"))  # noqa: S311
        try:
            events, deliveries = schedule.play()
        except Exception as error:
            played.failures.append(f"{name}, SEED={seed} SCHEDULE={number}: {error!r}")
            continue
        played.events += events
        played.deliveries += deliveries
        played.schedules += 1
        played.trouble += schedule.trouble.seen
    return played


def run(events: int, seed: int, pattern: str = "", schedule: int | None = None) -> Played:
    """Play schedules until there were so many events, or one of them by its number."""
    if schedule is not None:
        return play(seed, pattern, range(schedule, schedule + 1))
    total, started = Played(), time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = (range(first, first + PART) for first in count(0, PART))
        # As many at once as there are processes, so that it ends soon after enough of them.
        while total.events < events and not total.failures:
            some = [next(parts) for _ in range((os.cpu_count() or 1) * 2)]
            for played in pool.map(partial(play, seed, pattern), some):
                total += played
            if sys.stderr.isatty():
                print(
                    f"\r{total.events:,} events, {time.monotonic() - started:.0f} s",
                    end="",
                    file=sys.stderr,
                )
    return total


def _rows(total: Played, seconds: float, seed: int) -> list[str]:
    what = f"{total.events:,} events in {total.schedules:,} schedules"
    how = f"{total.deliveries:,} deliveries, seed {seed}, {seconds:,.0f} s"
    # A row is known by its first two cells, so they are the same whatever was counted.
    faults = f"{total.trouble.total():,} faults"
    counted = f"| all | all of these | {faults}, {what}; {how} | {reliability.machine()} |"
    each = total.trouble.most_common()
    return [counted, *(f"| | {name} | {times:,} times | |" for name, times in each)]


def main() -> int:
    """Run from the command line; return 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--schedule", type=int, help="only this one")
    parser.add_argument("--pattern", default="", help="only the handlers of this one")
    options = parser.parse_args()
    print(f"SEED={options.seed}")
    started = time.monotonic()
    total = run(options.events, options.seed, options.pattern, options.schedule)
    seconds = time.monotonic() - started
    print(
        f"\n{total.events:,} events in {total.schedules:,} schedules, {total.deliveries:,} "
        f"deliveries, {seconds:,.0f} s: {len(total.failures)} failures"
    )
    for name, times in total.trouble.most_common():
        print(f"  {times:>9,}  {name}")
    whole = not options.pattern and options.schedule is None
    if whole and total.events >= LEAST and not total.failures:
        reliability.write("torture", _rows(total, seconds, options.seed), HEAD)
    for failure in total.failures:
        print(failure, file=sys.stderr)
    return bool(total.failures)


if __name__ == "__main__":
    sys.exit(main())
