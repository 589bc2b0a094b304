"""The workers of a run of the tests share one engine, and whoever started it ends it."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from tests.sandbox.sharing import one_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Engines:
    """Counts how many were started, ended and joined."""

    def __init__(self) -> None:
        self.started, self.ended, self.joined = 0, 0, 0

    @contextmanager
    def start(self) -> Iterator[int]:
        self.started += 1
        yield self.started
        self.ended += 1

    @contextmanager
    def join(self, told: int) -> Iterator[int]:
        self.joined += 1
        yield told

    def use(self, folder: Path, begun: Event, until: Event) -> None:
        with one_for_all(folder, self.start, int, self.join):
            begun.set()
            until.wait(10)


def test_a_worker_joins_the_engine_that_runs_and_it_ends_when_the_last_one_has_left(
    tmp_path: Path,
) -> None:
    engines, threads, events = Engines(), [], []
    for _ in range(2):  # the first starts it, the second joins
        begun, until = Event(), Event()
        threads.append(Thread(target=engines.use, args=(tmp_path, begun, until)))
        events.append(until)
        threads[-1].start()
        assert begun.wait(10)
    assert (engines.started, engines.joined) == (1, 1)
    events[0].set()
    threads[0].join(0.5)
    assert threads[0].is_alive(), "it waits for the other one"
    assert engines.ended == 0
    events[1].set()
    for thread in threads:
        thread.join(10)
    assert engines.ended == 1


def test_a_worker_that_comes_after_its_end_starts_another_one(tmp_path: Path) -> None:
    engines, done = Engines(), Event()
    done.set()
    for _ in range(2):
        engines.use(tmp_path, Event(), done)
    assert (engines.started, engines.joined, engines.ended) == (2, 0, 2)
