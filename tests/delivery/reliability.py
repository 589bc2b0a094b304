"""Writes what the commands counted into ``docs/reliability.md``, each into its own block."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def machine() -> str:
    """Say when and on what something was counted."""
    cores = f"{os.cpu_count()} cores"
    python = f"Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d')}, {platform.system()}, {cores}, {python}"


def write(block: str, rows: Iterable[str], head: str, *, page: Path = PAGE) -> None:
    """Replace rows of a table: those that begin like a row given; the others stay.

    Args:
        block: Its name: it is between ``<!-- name -->`` and ``<!-- /name -->``.
        rows: Lines of the table, ``| cell | cell |``; the first two cells are what a row is about.
        head: The table's head and the line below it.
        page: The page.
    """
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {block} -->\n)(.*?)(<!-- /{block} -->)", re.DOTALL)
    found = pattern.search(text)
    assert found, f"{page.name} has no block {block}"
    there = [line for line in found[2].splitlines() if line.startswith("| ")]
    merged = {_about(line): line for line in [*there[1:], *rows]}
    body = "\n".join([head, *(merged[about] for about in sorted(merged)), ""])
    page.write_text(
        text[: found.start()] + found[1] + body + found[3] + text[found.end() :], encoding="utf-8"
    )


def _about(row: str) -> tuple[str, ...]:
    return tuple(row.split("|")[1:3])
