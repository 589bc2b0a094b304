"""Progress: the steps that run, while they run, and how long each took."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from serverless_patterns.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

SHOW_AFTER_SECONDS = 1.0
TELL_EVERY_SECONDS = 15.0  # where there is no terminal to show a step on


def plain(text: str) -> str:
    """Text from outside as rich prints it, whatever is in it: neither markup nor control codes."""
    return escape(visible(text))


class Steps:
    """Shows steps while they run, on a terminal, and prints a line at the end of each.

    Steps that take less than ``after`` seconds are neither shown nor printed. Without a terminal,
    a line now and then says that a step still runs.
    """

    def __init__(self, console: Console, after: float = 0) -> None:
        self._console, self._after, self._lock = console, after, threading.Lock()
        text = TextColumn("{task.description} {task.fields[state]}")
        columns = SpinnerColumn(), text, BarColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=console, transient=True)

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """Show a step, which is done to ``total`` things; steps may run side by side.

        Yields a function that advances the step by a number of things, 1 unless given, and shows
        a ``state`` beside its title, their count unless given; from any thread.
        """
        started, done = time.monotonic(), 0
        task = self._progress.add_task(plain(title), total=total, state="", visible=False)
        ended = threading.Event()
        watch = self._show_on_terminal if self._console.is_terminal else self._tell
        threading.Thread(target=watch, args=[task, ended], daemon=True).start()

        def advance(number: int = 1, state: str = "") -> None:
            nonlocal done
            with self._lock:
                done += number
                self._progress.update(task, completed=done, state=state or f"{done:,}")

        try:
            yield advance
        finally:
            ended.set()
            with self._lock:
                self._progress.remove_task(task)
                if not any(other.visible for other in self._progress.tasks):
                    self._progress.live.stop()  # Progress.stop prints an empty line off a terminal
            seconds = time.monotonic() - started
            if seconds >= self._after:
                count = f" ({total:,})" if total else ""
                line = f"  [dim]· {plain(title)}{count}, {seconds:.1f} s[/]"
                self._console.print(line, highlight=False)

    def _show_on_terminal(self, task: TaskID, ended: threading.Event) -> None:
        """Show a step that takes its time, until it ends."""
        if ended.wait(self._after):
            return
        with self._lock:
            if task in self._progress.task_ids:
                self._progress.update(task, visible=True)
                self._progress.start()

    def _tell(self, task: TaskID, ended: threading.Event) -> None:
        """Print now and then that a step still runs, and how far it is, until it ends."""
        seconds = 0.0
        while not ended.wait(TELL_EVERY_SECONDS):
            seconds += TELL_EVERY_SECONDS
            with self._lock:
                shown = next((one for one in self._progress.tasks if one.id == task), None)
            if shown:
                state = f" {shown.fields['state']}" if shown.fields["state"] else ""
                line = f"  [dim]· {shown.description}{plain(state)}, {seconds:.0f} s so far[/]"
                self._console.print(line, highlight=False)


console = Console(stderr=True, highlight=False)
step = Steps(console, SHOW_AFTER_SECONDS).step
