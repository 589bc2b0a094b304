"""The report is green only when every promise and every line of the ledger holds."""

from __future__ import annotations

import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from serverless_patterns.sandbox import SandboxError, console, play
from serverless_patterns.sandbox.ledger import Ledger
from serverless_patterns.sandbox.queues import until
from serverless_patterns.sandbox.report import Report, percentiles, some

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ledger() -> Ledger:
    """Two copies of a, one of which is suppressed; b is dead-lettered, c rejected."""
    ledger = Ledger()
    for event, refusal in (("a", ""), ("a", ""), ("b", ""), ("c", "400")):
        ledger.book(event, refusal)
    ledger.processed["a"] += 1
    ledger.dead_lettered["b"] += 1
    return ledger


def test_every_column_is_counted(ledger: Ledger) -> None:
    assert dict(ledger.rows()) == {
        "sent": 4,
        "accepted": 3,
        "refused": 1,
        "processed": 1,
        "duplicates suppressed": 1,
        "dead-lettered": 1,
        "out of order": 0,
        "lost": 0,
    }
    assert ledger.refused == {"400": 1}


def test_neither_a_lost_copy_nor_a_second_effect_is_a_suppressed_duplicate(ledger: Ledger) -> None:
    ledger.processed["a"] += 1
    assert ledger.suppressed == 0
    del ledger.processed["a"]
    assert (ledger.lost, ledger.suppressed) == ({"a"}, 1)


def test_an_event_that_was_looked_for_and_not_found_is_lost(ledger: Ledger) -> None:
    ledger.processed["a"] = ledger.dead_lettered["a"] = 0
    assert ledger.lost == {"a"}
    ledger.processed["d"] = ledger.dead_lettered["d"] = ledger.accepted["d"] = 0
    assert ledger.unexplained == set()


def test_no_copy_is_missed_when_many_threads_book() -> None:
    ledger = Ledger()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: ledger.book(f"{number % 3}"), range(3_000)))
    assert ledger.sent.total() == ledger.accepted.total() == 3_000


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def report(output: io.StringIO, ledger: Ledger) -> Report:
    """A report without a terminal, with a ledger in which every event is accounted for."""
    report = Report(Console(file=output, width=120))
    report.ledger = ledger
    return report


def test_nothing_from_outside_reaches_the_terminal_raw(
    report: Report, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m [red]"
    report.check(f"promise {hostile}", False, f"seen {hostile}")
    report.not_proven(hostile, hostile)
    report.abort(SandboxError(hostile), [f"log {hostile}"])
    report.ledger.book("d", hostile)
    with report.step(hostile):
        pass
    monkeypatch.setattr(play, "console", report.console)
    play._print_event(hostile, hostile)
    report.close()
    printed = output.getvalue()
    assert printed.count("[red]") >= 9, "nor is it markup"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", printed)


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


def overtake(ledger: Ledger) -> None:
    ledger.out_of_order["a"] += 1


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (lambda ledger: ledger.book("d"), "no event is lost: 1: d"),
        # A long list of events is cut.
        (lambda ledger: [*map(ledger.book, "defghi")], "no event is lost: 6: d, e, f, g, h, …"),
        (lambda ledger: ledger.processed.update("a"), "no event took effect twice: 1: a"),
        # c was rejected, d never sent.
        (
            lambda ledger: ledger.processed.update("cd"),
            "nothing appeared that was not accepted: 2: c, d",
        ),
        (
            lambda ledger: ledger.dead_lettered.update("cd"),
            "nothing appeared that was not accepted: 2: c, d",
        ),
        (lambda ledger: ledger.sent.update("a"), "every event was answered: 1"),
        (overtake, "no event is out of order: 1: a"),
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


def test_what_is_not_proven_is_said_and_fails_nothing(report: Report, output: io.StringIO) -> None:
    report.not_proven("alarms", "test_construct")
    assert report.close()
    assert report.not_proven_here == ["alarms (test_construct)"]
    assert "not proven here: alarms (test_construct)" in output.getvalue()


def test_the_ledger_the_reasons_and_the_latency_are_printed(
    report: Report, output: io.StringIO
) -> None:
    report.latency("POST", [0.010, 0.020])
    report.latency("Outage", [60])
    report.close()
    lines = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert {"│ sent │ 4 │", "│ refused: 400 │ 1 │", "│ POST │ 15 │ 20 │ 20 │"} <= {*lines}
    assert "│ Outage │ 60,000 │ 60,000 │ 60,000 │" in lines


WHOLE = """\

Orders
  ✓ it holds
  ✗ it does not  [1, 2]
  ✓ every event was answered
  ✓ no event took effect twice
  ✓ nothing appeared that was not accepted
  ✓ no event is out of order
  ✓ no event is lost
Ledger
┌───────────────────────┬───┐
│ sent                  │ 4 │
│ accepted              │ 3 │
│ refused               │ 1 │
│ processed             │ 1 │
│ duplicates suppressed │ 1 │
│ dead-lettered         │ 1 │
│ out of order          │ 0 │
│ lost                  │ 0 │
│   refused: 400        │ 1 │
└───────────────────────┴───┘
Latency, ms
┏━━━━━━┳━━━━━┳━━━━━┳━━━━━┓
┃      ┃ p50 ┃ p95 ┃ p99 ┃
┡━━━━━━╇━━━━━╇━━━━━╇━━━━━┩
│ POST │  15 │  20 │  20 │
└──────┴─────┴─────┴─────┘
"""


def test_a_report_looks_like_this(report: Report, output: io.StringIO) -> None:
    report.title("Orders")
    report.check("it holds", holds=True)
    report.check("it does not", holds=False, seen=[1, 2])
    report.latency("POST", [0.010, 0.020])
    report.close()
    printed = [line.rstrip() for line in output.getvalue().splitlines()]
    assert printed == [line.rstrip() for line in WHOLE.splitlines()]


def test_lost_events_stand_out_and_reasons_do_not(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), record=True, force_terminal=True, color_system="standard")
    report = Report(console)
    report.ledger = ledger
    report.close()
    lines = console.export_text(styles=True).splitlines()
    bold = [line for line in lines if "\x1b[1m" in line]
    dim = [line for line in lines if "\x1b[2m" in line]
    assert [len(bold), "lost" in bold[-1]] == [1, True]
    assert [len(dim), "refused: 400" in dim[-1]] == [1, True]


def test_what_held_and_what_did_not_is_kept_with_what_was_seen(
    report: Report, output: io.StringIO
) -> None:
    report.check("one", holds=True)
    report.check("two", holds=False)
    report.check("three", holds=False, seen="x " * 200)
    assert (report.held, report.failures) == (["one"], ["two", f"three: {'x ' * 200}"])
    shown = " ".join(output.getvalue().split())
    assert shown.endswith(f"✗ three {'x ' * 149}…")


def test_numbers_are_aligned_and_reasons_counted(report: Report, output: io.StringIO) -> None:
    for number in range(1_000):
        report.ledger.book(f"e{number}", "400")
    report.close()
    printed = output.getvalue()
    assert "│ sent                  │ 1,004 │\n│ accepted              │     3 │" in printed
    assert "│   refused: 400        │ 1,001 │" in printed


def test_only_more_than_five_events_are_cut() -> None:
    assert some("abcde") == "5: a, b, c, d, e"
    assert some("fedcba") == "6: a, b, c, d, e, …"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SandboxError("No stack."), "No stack."),
        (TimeoutError("Waited 9 s."), "Waited 9 s."),
        (KeyError("x"), "KeyError('x')"),
    ],
)
def test_a_scenario_that_was_aborted_says_why(
    report: Report, output: io.StringIO, error: Exception, said: str
) -> None:
    cause = f"Store: {'boom ' * 40}12:30"
    report.abort(error, ["first", cause])
    assert report.failures == [f"the scenario runs to its end: {said}\nfirst\n{cause}"]
    printed = output.getvalue()
    assert printed == f"  ✗ the scenario runs to its end  {said}\n      first\n      {cause}\n"
    report.close()
    assert "│ not accounted for" in output.getvalue()


def test_causes_are_printed_as_they_are_in_a_terminal_too() -> None:
    output = io.StringIO()
    report = Report(Console(file=output, force_terminal=True, color_system="standard", width=40))
    report.abort(TimeoutError("late"), [f"{'x' * 50} 12:30"])
    assert f"      {'x' * 50} 12:30\n" in output.getvalue()


def test_without_a_terminal_a_step_is_one_line(report: Report, output: io.StringIO) -> None:
    with report.step("Orders [all]", 1_000) as advance:
        advance(1_000)
    [line] = output.getvalue().splitlines()
    assert line.startswith("  · Orders [all] (1,000), 0.")


def test_steps_run_side_by_side_on_a_terminal_and_those_of_two_reports_do_not_mix() -> None:
    outputs = io.StringIO(), io.StringIO()
    reports = [Report(Console(file=file, width=120, force_terminal=True)) for file in outputs]

    def step(number: int) -> None:
        with reports[number % 2].step(f"step {number}", 2) as advance:
            time.sleep(0.02 * number)
            advance()
        reports[number % 2].check(f"promise {number}", holds=True)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(step, range(4)))
    for which, number in ((which, number) for which in range(2) for number in range(4)):
        printed = outputs[which].getvalue()
        mine = number % 2 == which
        assert (f"step {number} (2)" in printed) is (f"promise {number}" in printed) is mine


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


def test_events_of_a_scenario_that_was_aborted_are_not_accounted_for(
    ledger: Ledger, output: io.StringIO
) -> None:
    report = Report(Console(file=output, width=100))
    report.ledger = ledger
    del ledger.processed["a"]
    report.abort(TimeoutError("Waited 9 s: in vain."), ["Store: 3 of 3 calls failed", "  boom"])
    assert not report.close()
    printed = output.getvalue()
    assert "not accounted for" in printed
    assert "lost" not in printed
    assert "Waited 9 s: in vain." in printed
    assert "  boom" in printed


def test_without_a_terminal_a_long_step_says_how_far_it_is(
    report: Report, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "TELL_EVERY_SECONDS", 0.05)
    with report.step("Orders [all]", 1_000) as advance:
        advance(400)
        until(
            lambda: "so far" in output.getvalue(), seconds=60, what="until it says so", pause=0.01
        )
    assert "· Orders [all] 400, 0 s so far" in output.getvalue()
