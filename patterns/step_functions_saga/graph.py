"""Draws a definition as a Mermaid diagram for the page.

``python -m serverless_patterns.patterns.step_functions_saga.graph order_fulfilment.asl.json``
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).resolve().parent


def mermaid(machine: Mapping[str, Any]) -> str:
    """Return the state machine's diagram: its states, and what leads from one to the next."""
    lines = ["stateDiagram-v2", *_machine(machine, "")]
    return "\n    ".join(lines) + "\n"


def _machine(machine: Mapping[str, Any], within: str) -> Iterator[str]:
    yield f"[*] --> {_id(within, machine['StartAt'])}"
    for name, state in machine["States"].items():
        here = _id(within, name)
        if here != name:
            yield f'state "{name}" as {here}'
        if "ItemProcessor" in state:
            yield f"state {here} {{"
            yield from (f"    {line}" for line in _machine(state["ItemProcessor"], here))
            yield "}"
        for label, target in dict.fromkeys(_ways(state)):
            there = _id(within, target) if target else "[*]"
            yield f"{here} --> {there}{label and f': {label}'}"


def _ways(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield label and target of each way on; no target is the end."""
    for choice in state.get("Choices", []):
        yield "", choice["Next"]
    if "Default" in state:
        yield "otherwise", state["Default"]
    if "Next" in state:
        yield "", state["Next"]
    for catch in state.get("Catch", []):
        yield _label(catch["ErrorEquals"]), catch["Next"]
    if state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield "", ""


def _label(errors: list[str]) -> str:
    if "States.ALL" in errors:
        return "fails"
    return "silent" if "States.Timeout" in errors else "condition"


def _id(within: str, name: str) -> str:
    return (f"{within}_" if within else "") + re.sub(r"\W", "", name)


if __name__ == "__main__":
    print(mermaid(json.loads((FOLDER / sys.argv[1]).read_text(encoding="utf-8"))), end="")
