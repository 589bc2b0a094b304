"""How the contract suites make each construct: ``tests/<slug>/builds.py`` declares it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from tests import declared

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Build:
    """A construct to hold to the promises that several make.

    Args:
        name: The slug of its pattern, and what tells it from another build of it.
        make: Makes it, given a stack, a construct id and any of the arguments in ``takes``;
            it fills in the rest.
        takes: Arguments that it can be given: ``queue``, ``consumer``, ``endpoint``, ``alarms``,
            ``lake`` with ``stream``, ``bucket`` and ``transform``, and ``topic``, or the ``key`` of
            a new one. ``readers``: it has one, and ``add_consumer``. ``any body``: an endpoint that
            accepts what is not JSON. ``mapping``: an endpoint with mapping templates of its own; it
            is held to their promises alone unless it is an ``endpoint``, too.
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
    every = [build for _, module in declared.modules("builds") for build in module.BUILDS]
    return [build for build in every if build.takes.issuperset(takes)]


def every_build(*takes: str) -> pytest.MarkDecorator:
    """Parametrize a test with every construct that can be given these arguments."""
    return pytest.mark.parametrize("build", builds(*takes), ids=str)


@functools.cache
def template_of(build: Build) -> dict[str, Any]:
    """The template of a stack with this construct alone, made once. Read only: suites share it."""
    stack = Stack(App(), "Stack")
    build.make(stack, "Pattern")
    return {**Template.from_stack(stack).to_json()}


def resources_of(build: Build, kind: str) -> list[dict[str, Any]]:
    """The properties of its resources of one type, without its ``AWS::``."""
    every = template_of(build)["Resources"].values()
    return [one.get("Properties", {}) for one in every if one["Type"] == f"AWS::{kind}"]


def texts(value: Any) -> set[str]:
    """Every text in a template value, however deep."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return {text for item in inner for text in texts(item)}
    return {str(value)}
