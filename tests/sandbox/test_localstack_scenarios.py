"""Scenarios run unchanged on the second embedded AWS, and no event is lost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from serverless_patterns.patterns import catalog
from serverless_patterns.sandbox import embedded
from serverless_patterns.sandbox.report import Report
from tests.conftest import ROOT
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("slug", ["sns_fifo_fanout", "api_sqs_lambda"])
def test_no_event_of_a_scenario_is_lost(slug: str, tmp_path: Path) -> None:
    pattern, output = catalog.find(slug), io.StringIO()
    report = Report(Console(file=output, width=100))
    with embedded(engine="localstack", cwd=ROOT, log_dir=tmp_path) as target:
        stacks = target.deploy(stacks=[pattern.stack_name], cwd=ROOT)
        try:
            pattern.drive(stacks[pattern.stack_name], report)
            assert report.close(), report.failures
        finally:
            print(output.getvalue())
    assert report.ledger.sent.total() > 0
    assert not report.ledger.lost
