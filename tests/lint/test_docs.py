"""What the pages say about the rule pack works as it is written."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from serverless_patterns.lint.__main__ import main
from serverless_patterns.lint.conditions import MAX
from tests.conftest import ROOT, run

README, PAGE = (ROOT / name for name in ("README.md", "docs/check-templates.md"))
BAD = next((ROOT / "tests" / "lint" / "templates" / "bad").glob("W9104-*"))
TEXT = PAGE.read_text(encoding="utf-8")
HOOK = ROOT / ".pre-commit-hooks.yaml"


def commands(start: str) -> list[str]:
    """The commands on both pages that begin so: lines of their own, and code in a sentence."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (README, PAGE))
    found = re.findall(
        rf"^(?: *- run: )?({start} [^`\n]+)$|`({start} [^`\n]+)`", text, re.MULTILINE
    )
    return list(dict.fromkeys(line or code for line, code in found))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def test_the_pages_show_commands() -> None:
    assert len(commands("cfn-lint")) == 4
    assert len(commands("python -m serverless_patterns.lint")) == 6


@pytest.mark.parametrize("command", commands("cfn-lint"))
def test_a_command_of_cfn_lint_finds_what_the_pack_does(command: str, tmp_path: Path) -> None:
    words = [
        word.replace("FOLDER", str(ROOT))
        for word in command.replace("<this folder>", "FOLDER").split()
    ]
    words = [str(BAD) if word in ("TEMPLATE…", "template.yaml") else word for word in words]
    installed = {} if "<this folder>" in command else {"PYTHONPATH": str(ROOT)}
    program = Path(sys.executable).with_name(words[0])
    environment = {"PATH": os.environ["PATH"], **installed}
    done = run(program, *words[1:], cwd=tmp_path, env=environment)
    assert "W9104" in done.stdout, done.stderr


@pytest.mark.parametrize("command", commands("python -m serverless_patterns.lint"))
def test_a_command_of_the_pack_checks_a_template(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TEMPLATE…", "template.yaml", "cdk.out/a.template.json", "templates/a.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(BAD.read_bytes())
    (tmp_path / "lost-events.json").write_text("[]")
    with pytest.raises(SystemExit) as end:
        main(command.split()[3:])
    accepted = "least=3" in command or "--write-baseline" in command
    assert end.value.code == (0 if accepted else 4)


def test_the_plug_in_is_imported_as_the_page_says() -> None:
    (first, *_) = blocks("python")
    names: dict[str, Any] = {}
    exec("\n".join(line for line in first.splitlines() if "import" in line), names)  # noqa: S102
    assert names["EventLossChecks"]().name == "EventLoss"


def test_an_accepted_finding_is_written_as_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (accepted,) = (block for block in blocks("yaml") if "ignore_checks" in block)
    (tmp_path / "a.yaml").write_text(accepted)
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "a.yaml")])
    assert (end.value.code, capsys.readouterr().out) == (0, "")


def test_the_page_says_how_many_combinations_of_conditions_are_checked() -> None:
    assert f"combinations of conditions beyond {MAX}," in TEXT


def test_the_workflow_pins_each_action_by_commit_and_keeps_no_credentials() -> None:
    (workflow,) = (yaml.safe_load(block) for block in blocks("yaml") if "runs-on" in block)
    steps = workflow["jobs"]["lost-events"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
    assert steps[0]["with"] == {"persist-credentials": False}
    assert workflow["permissions"] == {"contents": "read"}


def test_the_hook_of_pre_commit_is_the_one_on_the_page_and_brings_the_extra() -> None:
    (hook,) = yaml.safe_load(HOOK.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert hook["additional_dependencies"] == project["optional-dependencies"]["lint"]
    assert hook["entry"].startswith("python -m serverless_patterns.lint ")
    (config,) = (yaml.safe_load(block) for block in blocks("yaml") if "repos:" in block)
    assert config["repos"][0]["hooks"][0]["id"] == hook["id"]
