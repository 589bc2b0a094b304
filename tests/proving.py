"""Collects what a test run proves, and compares it with what the pages say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tools import proofs

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.sandbox.report import Report

RESULTS = proofs.Results()
KEPT: list[str] = []
DRIFT: list[str] = []


def record(
    record_property: Callable[[str, object], None], slug: str, engine: str, report: Report
) -> None:
    """Record what a scenario has proven on an engine; ``record_property`` is pytest's fixture."""
    ledger = report.ledger
    found = {"sent": ledger.sent.total(), "lost": len(ledger.lost), "held": report.held}
    record_property("scenario", json.dumps({"slug": slug, "engine": engine, **found}))


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "write what this run proves into the patterns' pages (make prove)"
    parser.addoption("--prove", action="store_true", help=help_)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        RESULTS.add(report.nodeid, report.outcome, report.user_properties)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    if session.config.getoption("prove"):
        KEPT.extend(proofs.write(RESULTS))
    for slug, page in proofs.pages().items():
        if RESULTS.scenarios[slug]:
            DRIFT.extend(proofs.drift(page.read_text("utf-8"), slug, RESULTS))
    if (DRIFT or KEPT) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for title, lines in (
        ("Pages that do not say what this run proved: make prove", DRIFT),
        ("Pages that need a run of all their evidence, on both engines", KEPT),
    ):
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.line(line)
