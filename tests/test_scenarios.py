"""Every pattern's scenario, on the embedded AWS: the real CDK CLI deploys the real stacks.

The patterns that only the second engine executes are in ``sandbox/test_localstack_scenarios.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns import catalog
from serverless_patterns.sandbox import embedded
from tests.conftest import ROOT
from tests.running import AT_ONCE, Run, every_promise_holds, it_names_every_fault, selected, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HERE = [pattern for pattern in catalog.patterns() if pattern.engine == "ministack"]
of_each_pattern = pytest.mark.parametrize("pattern", HERE, ids=lambda pattern: pattern.slug)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, demo_app: Path) -> Iterator[dict[str, Run]]:
    """The selected scenarios in one embedded AWS, some at the same time: they mostly wait."""
    patterns = selected(request, HERE)
    pool = ThreadPoolExecutor(AT_ONCE)
    with embedded(cwd=ROOT) as target:
        stacks = target.deploy(demo_app, [pattern.stack_name for pattern in patterns], cwd=ROOT)
        yield {p.slug: start(pool, p, stacks[p.stack_name]) for p in patterns}


@of_each_pattern
def test_every_promise_of_a_scenario_holds(
    pattern: catalog.Pattern,
    runs: dict[str, Run],
    record_property: Callable[[str, object], None],
) -> None:
    every_promise_holds(runs[pattern.slug], pattern.slug, "MiniStack", record_property)


@of_each_pattern
def test_a_scenario_is_red_and_names_the_event_whatever_is_wrong_in_a_store(
    pattern: catalog.Pattern, runs: dict[str, Run]
) -> None:
    it_names_every_fault(runs[pattern.slug])
