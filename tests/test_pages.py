"""The generated parts of each pattern's page are as its stack is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tools import runbook, state_diagram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern


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
