"""The diagram of a state machine has every state, and every way from one to the next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns import catalog
from tools import state_diagram

if TYPE_CHECKING:
    from pathlib import Path

MACHINE: dict[str, Any] = {
    "States": {
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"States": {"One": {"Type": "Task", "End": True}}},
            "Next": "Done?",
        },
        "Done?": {"Type": "Choice", "Choices": [{"Next": "Send"}], "Default": "Both"},
        "Send": {
            "Type": "Task",
            "Next": "Well",
            "Catch": [
                {"ErrorEquals": ["States.Timeout"], "Next": "Both"},
                {"ErrorEquals": ["Declined"], "Next": "Well"},
                {"ErrorEquals": ["States.DataLimitExceeded"], "Next": "Ill"},
                {"ErrorEquals": ["States.ALL"], "Next": "Ill"},
            ],
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [{"States": {name: {"Type": "Pass", "End": True}}} for name in "AB"],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Ill"}],
            "End": True,
        },
        "Well": {"Type": "Succeed"},
        "Ill": {"Type": "Fail"},
    }
}


def statements(machine: dict[str, Any]) -> list[str]:
    first, *lines = state_diagram.mermaid(machine).splitlines()
    assert first == "flowchart TD"
    assert all(len(line) <= 100 for line in lines)
    return [one for line in lines for one in line.strip().split("; ")]


def test_every_way_is_drawn_says_what_leads_there_and_shows_choices_and_ends() -> None:
    assert statements(MACHINE) == [
        *("subgraph Each", "One([One])", "end", "subgraph Both", "A([A])", "B([B])", "end"),
        *('Each --> Done{"Done?"}', "Done --> Send", "Done -->|otherwise| Both"),
        *("Send --> Well([Well])", "Send -->|silent| Both", "Send -->|condition| Well"),
        "Send & Both -->|fails| Ill([Ill])",
    ]


@pytest.mark.parametrize(
    "file", sorted(catalog.FOLDER.glob("*/*.asl.json")), ids=lambda file: file.name
)
def test_the_diagram_names_every_state(file: Path) -> None:
    machine = json.loads(file.read_text(encoding="utf-8"))
    drawn = state_diagram.mermaid(machine)
    for name in machine["States"]:
        assert name.rstrip("?") in drawn


def test_the_section_of_a_page_is_filled_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "one.asl.json").write_text(json.dumps(MACHINE), encoding="utf-8")
    page = "# A\n\n<!-- states: one.asl.json -->\n\nold\n\n<!-- /states -->\n\nB\n"
    now = state_diagram.filled(page, tmp_path)
    assert f"```mermaid\n{state_diagram.mermaid(MACHINE)}```" in now
    assert now.startswith("# A\n") and now.endswith("<!-- /states -->\n\nB\n")  # noqa: PT018
    assert "old" not in now
    assert state_diagram.filled(now, tmp_path) == now
