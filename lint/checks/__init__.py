"""The rules, one topic a file."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from ..template import RULES

if TYPE_CHECKING:
    from cfnlint.rules import CloudFormationLintRule


def rule_classes() -> list[type[CloudFormationLintRule]]:
    """Return the class of every rule."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return RULES
