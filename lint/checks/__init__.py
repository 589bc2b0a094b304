"""The rules, one topic a file."""

from __future__ import annotations

from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules

from ..template import Rule


def rule_classes() -> list[type[Rule]]:
    """Return the class of every rule."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return [
        member
        for module in modules
        for _, member in getmembers(module, isclass)
        if issubclass(member, Rule)
    ]
