"""A new pattern is complete from the start, and adding it edits no file of another."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import ROOT
from tools import new_pattern
from tools.copy_pattern import CACHES, below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLUG = "trial_pattern"
MADE_HERE = (".venv", ".venv-sandbox", ".build", "node_modules")
# What `make snapshot` writes.
GENERATED = {"README.md", "docs/reference/README.md", "docs/refusals.md"}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in below(folder)}


# Names


@pytest.mark.parametrize(
    "slug", ["", "SnsFanout", "sns-fanout", "sns__fanout", "2_queues", "../up", "lambda", "a" * 41]
)
def test_a_name_that_is_not_valid_is_rejected_with_the_rule(slug: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Use lower-case words joined by underscores"):
        new_pattern.new(slug, tmp_path)
    assert not files(tmp_path)


@pytest.mark.parametrize("existing", ["patterns/shop.py", "lambdas/shop/a.py", "tests/shop/a.py"])
def test_a_name_that_is_taken_is_rejected_and_nothing_is_overwritten(
    existing: str, tmp_path: Path
) -> None:
    (tmp_path / existing).parent.mkdir(parents=True)
    (tmp_path / existing).touch()
    with pytest.raises(ValueError, match="exists already, and nothing is overwritten"):
        new_pattern.new("shop", tmp_path)
    assert files(tmp_path) == {existing: b""}


def test_the_command_says_why_a_name_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert new_pattern.main(["api_sqs_lambda"]) == 2
    assert "patterns/api_sqs_lambda exists already" in capsys.readouterr().err


def test_the_name_is_spelled_as_each_place_needs_it() -> None:
    text = "new_pattern new-pattern NewPattern New pattern"
    assert new_pattern.named(text, "sns_fanout") == "sns_fanout sns-fanout SnsFanout Sns fanout"


# A pattern in a copy of this project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project, with what `make setup` made."""
    folder = tmp_path_factory.mktemp("new") / "project"
    ignored = (".git", "cdk.out", ".hypothesis", ".venv-checkov", ".venv-localstack", *MADE_HERE)
    shutil.copytree(
        ROOT,
        folder,
        symlinks=True,
        ignore=lambda _, names: {n for n in names if n in ignored or CACHES.fullmatch(n)},
    )
    for name in MADE_HERE:
        (folder / name).symlink_to(ROOT / name)
    for cache in ROOT.glob(".mypy_cache/*/*.db"):  # 15 s quicker with it; it may be in use
        copied = folder / cache.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache)) as source, closing(sqlite3.connect(copied)) as target:
            source.backup(target)
    return folder


def start(project: Path, *command: str | Path) -> subprocess.Popen[str]:
    """Start a Python module in the project, as `make` does."""
    outside = ("PYTEST_", "PYTHONPATH", "CDK_")
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=project,
        env={name: value for name, value in os.environ.items() if not name.startswith(outside)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Made(NamedTuple):
    """The project's files before it got a pattern, and the scenario of that: it mostly waits."""

    before: dict[str, bytes]
    scenario: subprocess.Popen[str]


@pytest.fixture(scope="module")
def made(project: Path) -> Iterator[Made]:
    """A new pattern in the project."""
    before = files(project)
    new_pattern.new(SLUG, project)
    with start(project, "serverless_patterns", "try", SLUG) as scenario:
        yield Made(before, scenario)
        scenario.terminate()


def test_a_new_pattern_is_typed_passes_its_tests_and_edits_no_file_but_generated_ones(
    project: Path, made: Made
) -> None:
    before = made.before
    mine = [f"{folder}/{SLUG}" for folder in new_pattern.FOLDERS]
    packages = [f"serverless_patterns.patterns.{SLUG}", f"tests.{SLUG}"]  # import the rest
    lists = re.findall(r"(?m)^LISTS := (.+)$", (project / "Makefile").read_text())[0]
    tests = ["templates", "pages", "catalog", "security"]
    commands = [
        start(project, "mypy", *chain(*(("-p", package) for package in packages))),
        start(project, "ruff", "check", "--no-cache", *mine),
        start(project, "ruff", "format", "--no-cache", "--check", *mine),
        start(
            project,
            *("pytest", "-q", "-p", "no:cacheprovider", "--snapshot-update"),
            *("-k", f"{SLUG} or {lists}"),
            *(f"tests/test_{name}.py" for name in tests),
            *("tests/tools/test_refusals.py", "tests/tools/test_reference.py"),
            *("tests/contracts", "tests/lambdas", f"tests/{SLUG}"),
        ),
    ]
    outputs = [command.communicate()[0] for command in commands]
    for command, output in zip(commands, outputs, strict=True):
        assert command.returncode == 0, output
    after = files(project)
    changed = {name for name in before if after.get(name) != before[name]}
    added = sorted(after.keys() - before.keys())
    assert changed <= GENERATED
    assert [name for name in added if SLUG not in name] == []
    assert f"patterns/{SLUG}/diagram.svg" in added
    assert f"(patterns/{SLUG}/README.md)" in (project / "README.md").read_text()


def test_a_new_patterns_scenario_loses_no_event(made: Made) -> None:
    output = made.scenario.communicate()[0]
    assert made.scenario.returncode == 0, output
    assert "✓ no event is lost" in output
