"""The definitions of state machines that are in the template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .template import Resource

PLACEHOLDER = re.compile(r"\$\{!?(\w+)\}")


def definition(machine: Resource) -> Any:
    """Return a state machine's definition when it is in the template, its substitutions made."""
    text = machine.get("DefinitionString")
    if not isinstance(text, str):
        given = machine.get("Definition")
        text = json.dumps(given, default=str) if isinstance(given, Mapping) else None
    substitutions = machine.get("DefinitionSubstitutions")
    if text and isinstance(substitutions, Mapping):
        text = PLACEHOLDER.sub(lambda match: _value(substitutions, match), text)
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _value(substitutions: Mapping[str, Any], match: re.Match[str]) -> str:
    value = substitutions.get(match.group(1))
    known = isinstance(value, str | int | float)
    return json.dumps(str(value))[1:-1] if known else match.group(0)


def tasks(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the Task states of a definition, at any depth, by their names."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, Mapping) and item.get("Type") == "Task":
                yield str(name), item
            yield from tasks(item)
    elif isinstance(value, list):
        for item in value:
            yield from tasks(item)
