"""What runs for a contributor on other machines: the workflow, and the development container."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml  # type: ignore[import-untyped]

from tests.conftest import ROOT, run

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_runs_actions_by_their_commit_with_a_token_that_may_only_read_and_is_not_kept(
    workflow: Path,
) -> None:
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    steps = [step for job in content["jobs"].values() for step in job["steps"] if "uses" in step]
    for step in steps:
        action, _, commit = step["uses"].partition("@")
        assert re.fullmatch(r"[0-9a-f]{40}", commit), step
        if action == "actions/checkout":
            assert step["with"]["persist-credentials"] is False


def test_a_development_container_is_set_up_by_the_projects_own_command() -> None:
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert settings["postCreateCommand"] == "make setup"
    interpreter = settings["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.endswith("/.venv/bin/python")


@pytest.mark.parametrize("command", ["test", "prove", "torture", "break", "redrive"])
def test_make_rejects_an_unknown_pattern_before_it_runs_anything(command: str) -> None:
    done = run("make", "-o", "setup", "-o", "test-venvs", command, "PATTERN=nope", cwd=ROOT)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith("There is no pattern 'nope'. There are: api_sqs_lambda, ")
    assert done.stdout.count("\n") == 1
