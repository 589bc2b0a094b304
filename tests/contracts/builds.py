"""How the contract suites make each construct: ``tests/<slug>/builds.py`` declares it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Build:
    """A construct to hold to the promises that several make.

    Args:
        name: The slug of its pattern, and what tells it from another build of it.
        make: Makes it, given a stack, a construct id and any of the arguments in ``takes``;
            it fills in the rest.
        takes: Arguments that it can be given: ``queue``, ``consumer``, ``endpoint``, ``alarms``,
            ``lake`` with ``stream``, ``bucket`` and ``transform``, and ``topic``, or the ``key`` of
            a new one. ``any body``: an endpoint that accepts what is not JSON.
    """

    name: str
    make: Callable[..., Any]
    takes: frozenset[str] = frozenset()

    @property
    def slug(self) -> str:
        """The pattern that it is of."""
        return self.name.split()[0]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def builds(*takes: str) -> list[Build]:
    """Every construct that can be given these arguments."""
    found = [
        build
        for file in sorted(TESTS.glob("*/builds.py"))
        if file.parent.name != "contracts"
        for build in import_module(f"..{file.parent.name}.builds", __package__).BUILDS
    ]
    return [build for build in found if build.takes.issuperset(takes)]


def every_build(*takes: str) -> pytest.MarkDecorator:
    """Parametrize a test with every construct that can be given these arguments."""
    return pytest.mark.parametrize("build", builds(*takes), ids=str)


def texts(value: Any) -> set[str]:
    """Every text in a template value, however deep."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return {text for item in inner for text in texts(item)}
    return {str(value)}
