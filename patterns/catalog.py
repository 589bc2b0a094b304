"""Finds the patterns: a sub-package with a ``stack.py`` is one. Nothing registers them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Pattern:
    """One pattern, known by its folder's name.

    Attributes:
        slug: The folder's name, the same in ``patterns/``, ``lambdas/`` and ``tests/``.
    """

    slug: str

    @property
    def stack_name(self) -> str:
        """Name of its CloudFormation stack: the slug with dashes."""
        return self.slug.replace("_", "-")

    @property
    def folder(self) -> Path:
        """The folder with its construct, stack, scenario and page."""
        return FOLDER / self.slug

    @property
    def flow(self) -> str:
        """The flow line: the first line of ``construct.py``, read without importing the CDK."""
        module = ast.parse((self.folder / "construct.py").read_text(encoding="utf-8"))
        return (ast.get_docstring(module) or "").splitlines()[0]

    def module(self, name: str) -> Any:
        """Import one of its modules: ``stack``, ``scenario``, ``construct``."""
        return import_module(f"{__package__}.{self.slug}.{name}")

    @property
    def engine(self) -> str:
        """The engine of the embedded AWS that executes it: ``ENGINE`` of its scenario.

        Default: ministack.
        """
        engine: str = getattr(self.module("scenario"), "ENGINE", "ministack")
        return engine

    def drive(self, deployment: Deployment, report: Report) -> None:
        """Run its scenario, which may bring ``GAPS``: what an emulator does not execute of it.

        A scenario that fails is reported with the newest error of each function. What one that was
        killed left changed is reverted first.
        """
        from serverless_patterns.sandbox import outages
        from serverless_patterns.sandbox.health import Health

        scenario, health = self.module("scenario"), Health(deployment)
        deployment.also_lacks(getattr(scenario, "GAPS", {}))
        outages.restore(deployment)
        try:
            scenario.run(deployment, report)
        except Exception as error:  # one broken scenario must not hide the others
            report.abort(error, health.newest_errors())

    @property
    def demo_stack(self) -> type[Stack]:
        """Its ``DemoStack`` class."""
        stack: type[Stack] = self.module("stack").DemoStack
        return stack


def patterns() -> list[Pattern]:
    """Return every pattern, by name."""
    return [Pattern(path.parent.name) for path in sorted(FOLDER.glob("*/stack.py"))]


def find(slug: str) -> Pattern:
    """Return the pattern with this slug; dashes count as underscores.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {pattern.slug: pattern for pattern in patterns()}
    pattern = known.get(slug.replace("-", "_"))
    if pattern is None:
        raise ValueError(f"There is no pattern {slug!r}. There are: {', '.join(known)}.")
    return pattern
