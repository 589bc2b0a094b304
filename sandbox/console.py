"""Progress on the terminal: a line for each step that takes longer than a second."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

console = Console(stderr=True, highlight=False)
SHOW_AFTER_SECONDS = 1.0

_progress = Progress(
    SpinnerColumn(),
    TextColumn("{task.description} {task.fields[state]}"),
    TimeElapsedColumn(),
    console=console,
    transient=True,
)
_lock = threading.Lock()


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """Show a step while it runs, once it takes longer than a second, and what it took at the end.

    Yields a function that sets the text beside the title. Steps may run at the same time.
    """
    started = time.monotonic()
    task = _progress.add_task(title, state="", visible=False)
    timer = threading.Timer(SHOW_AFTER_SECONDS, _show, [task])
    timer.daemon = True
    timer.start()
    try:
        yield lambda state: _progress.update(task, state=state)
    finally:
        timer.cancel()
        with _lock:
            _progress.remove_task(task)
            if not any(other.visible for other in _progress.tasks):
                _progress.live.stop()  # Progress.stop prints an empty line off a terminal
    seconds = time.monotonic() - started
    if seconds >= SHOW_AFTER_SECONDS:
        console.print(f"  {title}: {seconds:.1f} s")


def _show(task: TaskID) -> None:
    with _lock:
        if task in _progress.task_ids:
            _progress.update(task, visible=True)
            if console.is_terminal:
                _progress.start()
