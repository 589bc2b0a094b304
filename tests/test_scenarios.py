"""Every pattern's scenario, on the embedded AWS: the real CDK CLI deploys the real stacks."""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from rich.console import Console

from serverless_patterns.patterns import catalog
from serverless_patterns.sandbox import embedded, judging
from serverless_patterns.sandbox.report import Report
from tests.conftest import ROOT
from tests.faults import faults
from tests.proving import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# More at once are no quicker: the embedded AWS is one process, and calls to it begin to time out.
AT_ONCE = 2


class Run(NamedTuple):
    """A scenario that runs in a thread: what it reports, what it prints, and its end."""

    report: Report
    output: io.StringIO
    end: Future[None]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Run]]:
    """The selected scenarios in one embedded AWS, some at the same time: they mostly wait."""
    names = " ".join(i.name for i in request.session.items if i.path == request.path)
    patterns = [pattern for pattern in catalog.patterns() if f"[{pattern.slug}]" in names]
    pool = ThreadPoolExecutor(AT_ONCE)
    with embedded(cwd=ROOT) as target:
        stacks = target.deploy(stacks=[pattern.stack_name for pattern in patterns], cwd=ROOT)
        started = {}
        for pattern in patterns:
            output = io.StringIO()
            report = Report(Console(file=output, width=100))
            end = pool.submit(pattern.drive, stacks[pattern.stack_name], report)
            started[pattern.slug] = Run(report, output, end)
        yield started


def test_every_promise_of_a_scenario_holds(
    pattern: catalog.Pattern,
    runs: dict[str, Run],
    record_property: Callable[[str, object], None],
) -> None:
    report, output, end = runs[pattern.slug]
    try:
        end.result()
        assert report.close(), report.failures
    finally:
        print(output.getvalue())
    record(record_property, pattern.slug, "MiniStack", report)
    assert report.ledger.sent.total() > 0
    assert not report.ledger.lost


def test_a_scenario_is_red_and_names_the_event_whatever_is_wrong_in_a_store(
    pattern: catalog.Pattern, runs: dict[str, Run]
) -> None:
    report, _, end = runs[pattern.slug]
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
    assert missed == []
    assert seen >= {"dropped", "doubled", "changed"}
