"""The page keeps what a command counted of other things, and replaces what it counts again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .reliability import write

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "| Consumer | Fault | Counted |\n|---|---|---|"


def test_rows_are_replaced_by_what_they_are_about(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- faults -->\n<!-- /faults -->\nafter\n")
    write("faults", ["| b | killed | 1 |", "| a | killed | 2 |"], HEAD, page=page)
    write("faults", ["| b | killed | 3 |"], HEAD, page=page)
    rows = "| a | killed | 2 |\n| b | killed | 3 |\n"
    assert page.read_text() == f"before\n<!-- faults -->\n{HEAD}\n{rows}<!-- /faults -->\nafter\n"
