"""The page keeps what a command counted of other things, and replaces what it counts again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .breaking import FAULTS
from .reliability import PAGE, write

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


def test_each_consumer_that_was_broken_has_survived_every_fault() -> None:
    [table] = re.findall(r"<!-- faults -->\n(.*?)<!-- /faults -->", PAGE.read_text(), re.DOTALL)
    survived: dict[str, set[str]] = {}
    for row in table.splitlines()[2:]:
        consumer, fault, counted = (cell.strip() for cell in row.split("|")[1:4])
        if "**" not in counted:
            survived.setdefault(consumer, set()).add(fault)
    assert survived
    assert {name: FAULTS.keys() - faults for name, faults in survived.items()
            if faults != FAULTS.keys()} == {}  # fmt: skip
