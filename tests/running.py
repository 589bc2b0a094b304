"""Runs scenarios of patterns in threads, and asks what each of them proved."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import pytest
from rich.console import Console

from serverless_patterns.sandbox import judging
from serverless_patterns.sandbox.report import Report
from tests.faults import faults, turns
from tests.proving import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future, ThreadPoolExecutor

    from serverless_patterns.patterns.catalog import Pattern
    from serverless_patterns.sandbox import Deployment

# More at once are no quicker: an engine is one process, and calls to it begin to time out.
AT_ONCE = 2


class Run(NamedTuple):
    """A scenario that runs in a thread: what it reports, what it prints, and its end."""

    report: Report
    output: io.StringIO
    end: Future[None]


def selected(request: pytest.FixtureRequest, patterns: Iterable[Pattern]) -> list[Pattern]:
    """Return the patterns that the selected tests of this file are about."""
    names = " ".join(item.name for item in request.session.items if item.path == request.path)
    return [pattern for pattern in patterns if f"[{pattern.slug}]" in names]


def start(pool: ThreadPoolExecutor, pattern: Pattern, stack: Deployment) -> Run:
    """Start a scenario in a thread of ``pool``."""
    output = io.StringIO()
    report = Report(Console(file=output, width=100))
    return Run(report, output, pool.submit(pattern.drive, stack, report))


def every_promise_holds(
    run: Run, slug: str, engine: str, record_property: Callable[[str, object], None]
) -> None:
    """Wait for the end of a scenario, assert that it held, and record what it proved."""
    report, output, end = run
    try:
        end.result()
        assert report.close(), report.failures
    finally:
        print(output.getvalue())
    record(record_property, slug, engine, report)
    assert report.ledger.sent.total() > 0
    assert not report.ledger.lost


def it_names_every_fault(run: Run) -> None:
    """Judge what a scenario found again, with each fault in it: it must be red and name the event.

    The test is skipped if the scenario itself is red.
    """
    report, _, end = run
    end.result()
    if report.failures:
        pytest.skip("the scenario itself is red")
    assert judging.again(report.judgements).failures == []
    seen, missed = set(), []
    for fault in faults(report.judgements):
        seen.add(fault.what.split()[0])
        failures = "\n".join(judging.again(fault.judgements).failures)
        if not any(name in failures for name in fault.names):
            missed.append((fault.what, failures))
    assert not missed, missed
    in_order = any(it.order or turns(it) for it in report.judgements)
    assert seen >= {"dropped", "doubled", "changed", *["swapped"] * in_order}
