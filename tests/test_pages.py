"""The generated parts of each pattern's page are as its stack is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns import catalog
from tools import runbook, state_diagram

if TYPE_CHECKING:
    from serverless_patterns.patterns.catalog import Pattern

every_pattern = pytest.mark.parametrize(
    "pattern", catalog.patterns(), ids=lambda pattern: pattern.slug
)


@every_pattern
def test_a_page_has_a_runbook_entry_for_each_alarm_of_its_stack(
    pattern: Pattern, template: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    page = pattern.folder / "README.md"
    text = page.read_text(encoding="utf-8")
    now = runbook.filled(text, template)
    if request.config.getoption("update_snapshots"):
        page.write_text(now, encoding="utf-8")
    assert runbook.START in text, "The page has no runbook section."
    assert page.read_text(encoding="utf-8") == now, "Run `make snapshot`."


@every_pattern
def test_a_page_shows_a_state_machine_as_its_file_defines_it(
    pattern: Pattern, request: pytest.FixtureRequest
) -> None:
    page = pattern.folder / "README.md"
    text = page.read_text(encoding="utf-8")
    now = state_diagram.filled(text, pattern.folder)
    if request.config.getoption("update_snapshots"):
        page.write_text(now, encoding="utf-8")
    if any(pattern.folder.glob("*.asl.json")):
        assert state_diagram.SECTION.search(text), "The page has no diagram of a state machine."
    assert page.read_text(encoding="utf-8") == now, "Run `make snapshot`."
