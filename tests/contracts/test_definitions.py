"""What every state machine promises that a pattern defines in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.blocks.definitions import Definition

if TYPE_CHECKING:
    from pathlib import Path

every_definition = pytest.mark.parametrize(
    "file", sorted(catalog.FOLDER.glob("*/*.asl.json")), ids=lambda file: file.name
)


@every_definition
def test_every_retry_has_a_limit_a_longest_wait_and_jitter(file: Path) -> None:
    for step in Definition.from_file(file).steps:
        for retry in step.fields["Retry"]:
            if retry["MaxAttempts"]:
                assert {"MaxDelaySeconds", "IntervalSeconds", "BackoffRate"} <= retry.keys()
                assert retry["JitterStrategy"] == "FULL"


@every_definition
def test_a_failed_condition_is_an_answer_and_not_retried(file: Path) -> None:
    for step in Definition.from_file(file).steps:
        caught = [name for catch in step.fields.get("Catch", []) for name in catch["ErrorEquals"]]
        for name in caught:
            if "ConditionalCheckFailed" in name:
                assert step.fields["Retry"][0] == {"ErrorEquals": [name], "MaxAttempts": 0}


@every_definition
def test_every_next_state_exists_and_every_state_is_reached(file: Path) -> None:
    def check(machine: dict[str, Any]) -> None:
        reached = {machine["StartAt"]}
        for state in machine["States"].values():
            parts = [state, *state.get("Choices", []), *state.get("Catch", [])]
            reached |= {part[key] for part in parts for key in ("Next", "Default") if key in part}
            for inside in [state.get("ItemProcessor"), *state.get("Branches", [])]:
                if inside:
                    check(inside)
        assert reached == set(machine["States"])

    check(Definition.from_file(file).machine)
