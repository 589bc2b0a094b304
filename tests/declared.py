"""Finds what the folders of the tests declare: ``tests/<slug>/builds.py`` and ``handlers.py``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

TESTS = Path(__file__).resolve().parent
ONLY: set[str] = set()  # the folders that a run is about (pytest --pattern); none: all


def modules(name: str) -> Iterator[tuple[str, ModuleType]]:
    """Import the modules of this name and yield each with its folder's name."""
    for file in sorted(TESTS.glob(f"*/{name}.py")):
        slug = file.parent.name
        if slug != "contracts" and (not ONLY or slug in ONLY):
            yield slug, import_module(f"{__package__}.{slug}.{name}")
