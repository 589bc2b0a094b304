"""Every pattern's scenario, on the embedded AWS: the real CDK CLI deploys the real stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from serverless_patterns.patterns import catalog
from serverless_patterns.sandbox import Deployment, embedded
from serverless_patterns.sandbox.report import Report
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PATTERNS = catalog.patterns()


@pytest.fixture(scope="module")
def deployments() -> Iterator[dict[str, Deployment]]:
    with embedded() as target:
        yield target.deploy(stacks=[pattern.stack_name for pattern in PATTERNS], cwd=ROOT)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.slug)
def test_every_promise_of_a_scenario_holds(
    pattern: catalog.Pattern, deployments: dict[str, Deployment]
) -> None:
    report = Report(Console())
    pattern.module("scenario").run(deployments[pattern.stack_name], report)
    assert report.close(), report.failures
    assert report.ledger.sent.total() > 0
    assert not report.ledger.lost
