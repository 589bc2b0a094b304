"""The diagram of a state machine on a pattern's page, drawn from its definition's file.

The page has it between ``<!-- states: <file>.asl.json -->`` and ``<!-- /states -->``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECTION = re.compile(r"(<!-- states: (\S+\.asl\.json) -->\n).*?(<!-- /states -->\n)", re.DOTALL)
WIDTH = 100
END = "([{}])"
SHAPES = {"Choice": '{{"{}"}}', "Succeed": END, "Fail": END}


def filled(page: str, folder: Path) -> str:
    """Return a page with its diagrams as the definitions in its folder are now."""

    def drawn(found: re.Match[str]) -> str:
        machine = json.loads((folder / found[2]).read_text(encoding="utf-8"))
        return f"{found[1]}\n```mermaid\n{mermaid(machine)}```\n\n{found[3]}"

    return SECTION.sub(drawn, page)


def mermaid(machine: Mapping[str, Any]) -> str:
    """Return a flowchart of the states and of what leads from one to the next."""
    lines = ["flowchart TD"]
    for statement in _statements(machine):
        if len(lines) > 1 and len(lines[-1]) + len(statement) + 2 <= WIDTH:
            lines[-1] += f"; {statement}"
        else:
            lines.append(f"    {statement}")
    return "\n".join(lines) + "\n"


def _statements(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield the states inside of a state, the arrows, and every end that no arrow mentions."""
    shapes: dict[str, str] = {}
    arrows: dict[tuple[str, str], list[str]] = {}
    for name, state in machine["States"].items():
        inside = [state["ItemProcessor"]] if "ItemProcessor" in state else state.get("Branches")
        if inside:
            yield f"subgraph {_id(name)}"
            for part in inside:
                yield from _statements(part)
            yield "end"
        elif shape := SHAPES.get(state["Type"], END if state.get("End") else None):
            shapes[name] = shape.format(name)
        for way in dict.fromkeys(_ways(state)):
            arrows.setdefault(way, []).append(name)

    def drawn(name: str) -> str:
        return _id(name) + shapes.pop(name, "")  # its shape where it is mentioned first

    for (label, target), names in arrows.items():
        sources = " & ".join(drawn(name) for name in names)
        yield f"{sources} -->{label and f'|{label}|'} {drawn(target)}"
    yield from [drawn(name) for name in [*shapes]]


def _ways(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and target of each way on."""
    for choice in state.get("Choices", []):
        yield "", choice["Next"]
    if "Default" in state:
        yield "otherwise", state["Default"]
    if "Next" in state:
        yield "", state["Next"]
    for catch in state.get("Catch", []):
        yield _label(catch["ErrorEquals"]), catch["Next"]


def _label(errors: list[str]) -> str:
    if {"States.ALL", "States.DataLimitExceeded"} & {*errors}:  # the latter is not in the former
        return "fails"
    return "silent" if "States.Timeout" in errors else "condition"


def _id(name: str) -> str:
    return re.sub(r"\W", "", name)
