"""The report is green only when every promise and every line of the ledger holds."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from serverless_patterns.sandbox.report import Report, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.sandbox.ledger import Ledger


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def report(output: io.StringIO) -> Report:
    """A report without a terminal, with one event that was sent, accepted and processed."""
    report = Report(Console(file=output, width=120))
    report.ledger.book("a")
    report.ledger.processed["a"] += 1
    return report


def test_a_complete_ledger_is_green(report: Report, output: io.StringIO) -> None:
    assert report.close()
    assert report.failures == []
    for verdict in (
        "every event was answered",
        "no event took effect twice",
        "nothing appeared that was not accepted",
        "no event is out of order",
        "no event is lost",
    ):
        assert f"✓ {verdict}" in output.getvalue()


def lose(ledger: Ledger) -> None:
    ledger.book("b")


def process_twice(ledger: Ledger) -> None:
    ledger.processed["a"] += 1


def appear(ledger: Ledger) -> None:
    ledger.processed["b"] += 1


def appear_dead(ledger: Ledger) -> None:
    ledger.dead_lettered["b"] += 1


def leave_unanswered(ledger: Ledger) -> None:
    ledger.sent["a"] += 1


def overtake(ledger: Ledger) -> None:
    ledger.out_of_order += 1


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (lose, "no event is lost: 1: b"),
        (process_twice, "no event took effect twice: 1: a"),
        (appear, "nothing appeared that was not accepted: 1: b"),
        (appear_dead, "nothing appeared that was not accepted: 1: b"),
        (leave_unanswered, "every event was answered: 1"),
        (overtake, "no event is out of order: 1"),
    ],
)
def test_each_fault_of_the_ledger_makes_its_verdict_red(
    report: Report, fault: Callable[[Ledger], None], verdict: str
) -> None:
    fault(report.ledger)
    assert not report.close()
    assert report.failures == [verdict]


def test_a_broken_promise_is_red_and_says_what_was_seen(
    report: Report, output: io.StringIO
) -> None:
    report.check("it [holds]", holds=False, seen={"status": 500})
    assert not report.close()
    assert report.failures == ["it [holds]: {'status': 500}"]
    assert "✗ it [holds]  {'status': 500}" in output.getvalue()


def test_a_long_list_of_events_is_cut(report: Report) -> None:
    for number in range(7):
        report.ledger.book(f"lost-{number}")
    report.close()
    assert report.failures == ["no event is lost: 7: lost-0, lost-1, lost-2, lost-3, lost-4, …"]


def test_what_is_not_proven_is_said_and_fails_nothing(report: Report, output: io.StringIO) -> None:
    report.not_proven("alarms", "test_construct")
    assert report.close()
    assert report.not_proven_here == ["alarms (test_construct)"]
    assert "not proven here: alarms (test_construct)" in output.getvalue()


def test_the_ledger_the_reasons_and_the_latency_are_printed(
    report: Report, output: io.StringIO
) -> None:
    report.ledger.book("b", "429")
    report.latency("POST", [0.010, 0.020])
    report.close()
    lines = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert "│ sent │ 2 │" in lines
    assert "│ refused: 429 │ 1 │" in lines
    assert "│ POST │ 15 │ 20 │ 20 │" in lines


def test_without_a_terminal_a_step_is_one_line(output: io.StringIO) -> None:
    report = Report(Console(file=output, width=120))
    with report.step("Orders", 1_000) as advance:
        advance(1_000)
    [line] = output.getvalue().splitlines()
    assert line.startswith("  · Orders (1,000), 0.")


def test_steps_run_side_by_side_also_on_a_terminal(output: io.StringIO) -> None:
    report = Report(Console(file=output, width=120, force_terminal=True))

    def step(number: int) -> None:
        with report.step(f"step {number}", 2) as advance:
            time.sleep(0.02 * number)
            advance()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(step, range(4)))
    assert all(f"step {number} (2)" in output.getvalue() for number in range(4))


def test_reports_that_run_at_the_same_time_do_not_mix() -> None:
    outputs = [io.StringIO() for _ in range(3)]

    def run(number: int) -> None:
        report = Report(Console(file=outputs[number], force_terminal=True, width=120))
        with report.step(f"scenario {number}"):
            time.sleep(0.05)
        report.check(f"promise {number}", holds=True)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(run, range(3)))
    for number, output in enumerate(outputs):
        other = (number + 1) % 3
        assert f"promise {number}" in output.getvalue()
        assert f"promise {other}" not in output.getvalue()
        assert f"scenario {other}" not in output.getvalue()


def test_a_step_that_fails_leaves_the_terminal_usable(output: io.StringIO) -> None:
    report = Report(Console(file=output, force_terminal=True, width=120))
    with pytest.raises(RuntimeError), report.step("breaks"):
        raise RuntimeError
    with report.step("works"):
        pass
    assert "works" in output.getvalue()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], (0.0, 0.0, 0.0)),
        ([2.0], (2.0, 2.0, 2.0)),
        ([float(n) for n in range(101)], (50.0, 95.0, 99.0)),
    ],
)
def test_percentiles(seconds: list[float], expected: tuple[float, float, float]) -> None:
    assert percentiles(seconds) == pytest.approx(expected)
