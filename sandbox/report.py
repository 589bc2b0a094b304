"""What a scenario says while it runs and when it ends: promises, ledger, latency."""

from __future__ import annotations

from statistics import quantiles
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from .console import Steps, plain
from .errors import SandboxError
from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .judging import Judgement


class Report:
    """Collects a scenario's results and prints them; safe to use from several threads.

    Args:
        console: Where to print. Default: standard output. Two reports that run at the same time
            need a console each.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console, self.ledger = console or Console(), Ledger()
        self.held: list[str] = []  # promises that held
        self.failures: list[str] = []  # promises that did not hold, with what was seen instead
        self.aborted = False  # before its end
        self.not_proven_here: list[str] = []  # promises, and where each is proven instead
        self.judgements: list[Judgement] = []  # of what the stores held
        self._latencies: list[tuple[str, Sequence[float]]] = []
        self.step = Steps(self.console).step

    def title(self, text: str) -> None:
        """Print the title of the next part."""
        self._print(f"\n[bold]{text}[/]")

    def check(self, promise: str, holds: bool, seen: object = "") -> None:
        """Record whether a promise holds; ``seen`` says what was found when it does not."""
        if holds:
            self.held.append(promise)
            self._print(f"  [green]✓[/] {plain(promise)}")
        else:
            self.failures.append(f"{promise}: {seen}" if seen != "" else promise)
            shown = plain(shorten(str(seen), 300, placeholder=" …"))
            self._print(f"  [red]✗ {plain(promise)}[/]  {shown}")

    def abort(self, error: Exception, causes: Sequence[str]) -> None:
        """Record that the scenario has not run to its end; ``causes`` are lines that say why."""
        self.aborted = True
        promise = "the scenario runs to its end"
        said = str(error) if isinstance(error, (SandboxError, TimeoutError)) else repr(error)
        self.failures.append("\n".join([f"{promise}: {said}", *causes]))
        self._print(f"  [red]✗ {plain(promise)}[/]  {plain(said)}")
        for line in causes:
            self.console.print(f"      {plain(line)}", highlight=False, soft_wrap=True)

    def not_proven(self, promise: str, instead: str) -> None:
        """Record a promise that this target cannot execute, and what covers it instead."""
        self.not_proven_here.append(f"{promise} ({instead})")
        text = f"{plain(promise)} [dim]({plain(instead)})[/]"
        self._print(f"  [yellow]-[/] not proven here: {text}")

    def latency(self, name: str, seconds: Sequence[float]) -> None:
        """Record a series of durations for the percentiles."""
        self._latencies.append((name, seconds))

    def close(self) -> bool:
        """Check the ledger, print it, and return whether every promise holds."""
        if not self.aborted:
            self._check_ledger()
        self._print_ledger()
        return not self.failures

    def _check_ledger(self) -> None:
        ledger = self.ledger
        twice, unexplained, lost = ledger.processed_twice, ledger.unexplained, ledger.lost
        late = set(ledger.out_of_order)
        self.check("every event was answered", ledger.unanswered == 0, ledger.unanswered)
        self.check("no event took effect twice", not twice, some(twice))
        self.check("nothing appeared that was not accepted", not unexplained, some(unexplained))
        self.check("no event is out of order", not late, some(late))
        self.check("no event is lost", not lost, some(lost))

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def _print_ledger(self) -> None:
        table = Table(
            "", Column("", justify="right"), title="Ledger", title_justify="left", show_header=False
        )
        for name, count in self.ledger.rows():
            if self.aborted and name == "lost":  # nobody has looked for it
                name = "not accounted for"
            table.add_row(name, f"{count:,}", style="bold" if name == "lost" else "")
        for reason, count in sorted(self.ledger.refused.items()):
            table.add_row(f"  refused: {plain(reason)}", f"{count:,}", style="dim")
        self.console.print(table)
        if self._latencies:
            columns = (Column(name, justify="right") for name in ("p50", "p95", "p99"))
            table = Table("", *columns, title="Latency, ms", title_justify="left")
            for name, seconds in self._latencies:
                table.add_row(name, *(f"{value * 1000:,.0f}" for value in percentiles(seconds)))
            self.console.print(table)


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the 50th, 95th and 99th percentile; a single value counts for all three."""
    if len(seconds) < 2:
        value = seconds[0] if seconds else 0.0
        return value, value, value
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def some(events: Collection[str]) -> str:
    """Return how many events there are, and the first five of their ids."""
    shown = ", ".join(sorted(events)[:5])
    return f"{len(events)}: {shown}{', …' if len(events) > 5 else ''}"
