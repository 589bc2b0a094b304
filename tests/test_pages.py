"""Each pattern's page has the form of all, and its generated parts are as its stack is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools import runbook, state_diagram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern


def test_a_page_starts_with_flow_line_diagram_and_the_code_that_uses_it(pattern: Pattern) -> None:
    text = (pattern.folder / "README.md").read_text(encoding="utf-8")
    start = text.partition("\n## ")[0]
    places = [start.find(part) for part in (pattern.flow, "](diagram.svg)", "```python\n")]
    assert places == sorted(places)
    assert min(places) > 0
    assert f"from serverless_patterns.patterns.{pattern.slug}.construct import" in start


def test_a_page_has_a_runbook_entry_for_each_alarm_of_its_stack(
    pattern: Pattern, template: dict[str, Any], check_generated: Callable[[Path, str], None]
) -> None:
    page = pattern.folder / "README.md"
    text = page.read_text(encoding="utf-8")
    assert runbook.START in text, "The page has no runbook section."
    check_generated(page, runbook.filled(text, template))


def test_a_page_shows_a_state_machine_as_its_file_defines_it(
    pattern: Pattern, check_generated: Callable[[Path, str], None]
) -> None:
    page = pattern.folder / "README.md"
    text = page.read_text(encoding="utf-8")
    if any(pattern.folder.glob("*.asl.json")):
        assert state_diagram.SECTION.search(text), "The page has no diagram of a state machine."
    check_generated(page, state_diagram.filled(text, pattern.folder))
