"""The figures of a benchmark on a page are its own. A copied pattern has no benchmarks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks import telling_the_client
from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_ways_of_telling_a_client_have_the_figures_of_the_benchmark(
    check_generated: Callable[[Path, str], None],
) -> None:
    file = catalog.find("polling_status").folder / "README.md"
    text = file.read_text(encoding="utf-8")
    filled = f"<!-- ways -->\n{telling_the_client.table()}\n<!-- /ways -->"
    assert "<!-- ways -->" in text
    check_generated(file, re.sub("<!-- ways -->.*?<!-- /ways -->", filled, text, flags=re.DOTALL))
