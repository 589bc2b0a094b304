"""Each pattern's page has the form of all, and its generated parts are as its stack is now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns import limits
from serverless_patterns.patterns.checks import period
from tests.conftest import ROOT, page_of
from tools import runbook, state_diagram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern

UNITS = "[KMG]i?B|bytes|s|seconds|minutes|hours|days"
PAGES = [*sorted(ROOT.glob("patterns/*/README.md")), *sorted(ROOT.glob("docs/*.md"))]


def test_a_page_starts_with_flow_line_diagram_and_the_code_that_uses_it(pattern: Pattern) -> None:
    text = page_of(pattern)
    start = text.partition("\n## ")[0]
    places = [start.find(part) for part in (pattern.flow, "](diagram.svg)", "```python\n")]
    assert places == sorted(places)
    assert min(places) > 0
    assert f"from serverless_patterns.patterns.{pattern.slug}.construct import" in start


def test_a_page_has_a_runbook_entry_for_each_alarm_of_its_stack(
    pattern: Pattern, template: dict[str, Any], check_generated: Callable[[Path, str], None]
) -> None:
    file, text = pattern.folder / "README.md", page_of(pattern)
    assert runbook.START in text, "The page has no runbook section."
    check_generated(file, runbook.filled(text, template))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_figure_on_a_page_is_that_of_the_limit_named_behind_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for before, name in re.findall(r"(.{,20})<!-- ([A-Z_]+) -->", text):
        if page.name != "decisions.md":  # which says how it is written
            assert re.search(rf"(?<![\d,]){_spelled(getattr(limits, name))}$", before), name


def test_a_figure_with_a_unit_among_the_limits_names_its_limit(pattern: Pattern) -> None:
    section = page_of(pattern).partition("\n## Limits\n")[2].partition("\n## ")[0]
    assert section
    ours = re.sub(r"older\s+notes\s+say\s+[\d,]+\s+\w+", "", section)
    named = re.sub(r"[\d,]+( \w+)?<!-- (own|[A-Z_0-9]+) -->", "", ours)  # own: of the demo
    assert re.findall(rf"\d[\d,]*\s+(?:{UNITS})\b", named) == []


def _spelled(limit: limits.Limit) -> str:
    """Return a limit as a page says it: 256 KiB, 4 days, 100,000."""
    if limit.unit == "s":
        if limit % 60 or limit < 120:
            return f"{limit} s"
        return period(limit) if limit >= 600 else f"{limit // 60} minutes"
    if limit.unit.startswith("bytes"):
        return f"{limit // 1024**2} MiB" if limit >= 1024**2 else f"{limit // 1024:,} KiB"
    return f"{limit:,}"


def test_a_page_shows_a_state_machine_as_its_file_defines_it(
    pattern: Pattern, check_generated: Callable[[Path, str], None]
) -> None:
    file, text = pattern.folder / "README.md", page_of(pattern)
    if any(pattern.folder.glob("*.asl.json")):
        assert state_diagram.SECTION.search(text), "The page has no diagram of a state machine."
    check_generated(file, state_diagram.filled(text, pattern.folder))
