"""One engine for all workers of pytest-xdist: the first that asks starts it, the others join."""

from __future__ import annotations

import fcntl
import json
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

T = TypeVar("T")


@contextmanager
def one_for_all(
    folder: Path,
    start: Callable[[], AbstractContextManager[T]],
    tell: Callable[[T], Any],
    join: Callable[[Any], AbstractContextManager[T]],
) -> Iterator[T]:
    """Yield what ``start`` starts, or, if another worker has started it, what ``join`` makes of it.

    The worker that started it waits at its end until no other one uses it. A worker that dies uses
    it no longer: its lock goes with it.

    Args:
        folder: The workers share it.
        start: Starts it; it ends with the block.
        tell: What ``join`` has to know of it, as JSON.
        join: Makes it usable to another worker.
    """
    note, turn, users = folder / "engine.json", folder / "engine.turn", folder / "engine.users"
    with ExitStack() as ours, _locked(users, fcntl.LOCK_SH):
        with _locked(turn):
            if note.exists():
                engine = ours.enter_context(join(json.loads(note.read_text())))
            else:
                engine = ours.enter_context(start())
                note.write_text(json.dumps(tell(engine)))
                ours.callback(_wait_until_unused, note, turn, users)
        yield engine


def _wait_until_unused(note: Path, turn: Path, users: Path) -> None:
    while True:
        with _locked(turn), users.open("a") as others:  # in turn: nobody joins meanwhile
            try:
                fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return note.unlink()
        time.sleep(0.1)


@contextmanager
def _locked(file: Path, how: int = fcntl.LOCK_EX) -> Iterator[Any]:
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield lock
