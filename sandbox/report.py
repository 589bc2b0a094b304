"""What a scenario says while it runs and when it ends: promises, ledger, latency."""

from __future__ import annotations

from contextlib import contextmanager
from statistics import quantiles
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Report:
    """Collects a scenario's results and shows them on a terminal.

    Args:
        console: Where to print. Default: standard output.

    Attributes:
        ledger: The account of events.
        failures: The promises that did not hold, with what was seen instead.
        not_proven_here: What this target does not execute, and where it is proven in its place.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.ledger = Ledger()
        self.failures: list[str] = []
        self.not_proven_here: list[str] = []
        self._latencies: list[tuple[str, Sequence[float]]] = []

    def title(self, text: str) -> None:
        """Print the title of the next part."""
        self.console.print(f"\n[bold]{text}[/]", highlight=False)

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        """Show a step while it runs; the value advances its bar by one, from any thread."""
        columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        bar = [BarColumn(), MofNCompleteColumn()] if total else []
        with Progress(*columns, *bar, console=self.console) as progress:
            task = progress.add_task(title, total=total or 1)
            yield lambda: progress.advance(task)
            progress.update(task, completed=total or 1)

    def check(self, promise: str, holds: bool, seen: object = "") -> None:
        """Record whether a promise holds; ``seen`` says what was found when it does not."""
        if holds:
            self.console.print(f"  [green]✓[/] {escape(promise)}", highlight=False)
        else:
            self.failures.append(f"{promise}: {seen}" if seen != "" else promise)
            shown = escape(shorten(str(seen), 300, placeholder=" …"))
            self.console.print(f"  [red]✗ {escape(promise)}[/]  {shown}", highlight=False)

    def not_proven(self, promise: str, instead: str) -> None:
        """Record a promise that this target cannot execute, and what covers it instead."""
        self.not_proven_here.append(f"{promise} ({instead})")
        self.console.print(
            f"  [yellow]-[/] not proven here: {escape(promise)} [dim]({escape(instead)})[/]",
            highlight=False,
        )

    def latency(self, name: str, seconds: Sequence[float]) -> None:
        """Record a series of durations for the percentiles."""
        self._latencies.append((name, seconds))

    def close(self) -> bool:
        """Check the ledger, print it, and return whether every promise holds."""
        ledger = self.ledger
        self.check("every event was answered", ledger.unanswered == 0, ledger.unanswered)
        self.check("no event took effect twice", not ledger.processed_twice,
                   _some(ledger.processed_twice))  # fmt: skip
        self.check("nothing appeared that was not accepted", not ledger.unexplained,
                   _some(ledger.unexplained))  # fmt: skip
        self.check("no event is out of order", ledger.out_of_order == 0, ledger.out_of_order)
        self.check("no event is lost", not ledger.lost, _some(ledger.lost))
        self._print_ledger()
        return not self.failures

    def _print_ledger(self) -> None:
        table = Table(title="Ledger", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, count in self.ledger.rows():
            style = "bold" if name == "lost" else ""
            table.add_row(name, f"{count:,}", style=style)
        for reason, count in sorted(self.ledger.refused.items()):
            table.add_row(f"  refused: {reason}", f"{count:,}", style="dim")
        self.console.print(table)
        if self._latencies:
            self.console.print(self._latency_table())

    def _latency_table(self) -> Table:
        table = Table("", "p50", "p95", "p99", title="Latency, ms", title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, seconds in self._latencies:
            table.add_row(name, *(f"{value * 1000:,.0f}" for value in percentiles(seconds)))
        return table


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the 50th, 95th and 99th percentile; a single value stands for all three."""
    if len(seconds) < 2:
        value = seconds[0] if seconds else 0.0
        return value, value, value
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def _some(events: set[str]) -> str:
    shown = ", ".join(sorted(events)[:5])
    return f"{len(events)}: {shown}{', …' if len(events) > 5 else ''}"
