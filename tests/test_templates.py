"""The synthesized stacks: unchanged by accident, and clean to cdk-nag and cfn-lint."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from syrupy.extensions.json import JSONSnapshotExtension

from serverless_patterns.lint.__main__ import runner
from serverless_patterns.patterns import catalog
from tests.conftest import ROOT
from tools import diagram

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

SLUGS = [pattern.slug for pattern in catalog.patterns()]
ASSET_HASH = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory, cdk_context: dict[str, Any]) -> Path:
    """Every pattern's stack in one app, with cdk-nag's verdict beside the templates."""
    outdir = tmp_path_factory.mktemp("assembly")
    app = App(outdir=str(outdir), context=cdk_context)
    for pattern in catalog.patterns():
        pattern.demo_stack(app, pattern.stack_name)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    try:
        app.synth()
    except RuntimeError as error:  # findings are read from the report, to show them all
        if "ValidationFailed" not in str(error):
            raise
    return outdir


def template(assembly: Path, slug: str) -> Path:
    return assembly / f"{catalog.find(slug).stack_name}.template.json"


@pytest.mark.parametrize("slug", SLUGS)
def test_a_stack_changes_only_on_purpose(
    assembly: Path, slug: str, snapshot: SnapshotAssertion
) -> None:
    text = ASSET_HASH.sub("[asset hash]", template(assembly, slug).read_text())
    assert json.loads(text) == snapshot(extension_class=JSONSnapshotExtension)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_diagram_shows_the_stack_as_it_is_now(
    assembly: Path, slug: str, request: pytest.FixtureRequest
) -> None:
    pattern = catalog.find(slug)
    drawn = diagram.render(json.loads(template(assembly, slug).read_text()), pattern.flow)
    file = pattern.folder / "diagram.svg"
    if request.config.getoption("update_snapshots"):
        file.write_text(drawn, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == drawn, "Run `make snapshot`, and look at it."


def test_cdk_nag_has_no_finding_without_an_answer(assembly: Path) -> None:
    report = json.loads((assembly / "validation-report.json").read_text())
    packs = {pack["pluginName"]: pack["violations"] for pack in report["pluginReports"]}
    assert {"AwsSolutions", "Serverless"} <= packs.keys()
    findings = [
        f"{violation['ruleName']}: {construct['constructPath']}"
        for violations in packs.values()
        for violation in violations
        for construct in violation["violatingConstructs"]
    ]
    assert not findings


@pytest.mark.parametrize("slug", SLUGS)
def test_cfn_lint_has_no_error_and_no_warning(assembly: Path, slug: str) -> None:
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run(
        [cfn_lint, template(assembly, slug)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_the_projects_own_rules_find_nothing(assembly: Path) -> None:
    stacks = [str(template(assembly, slug)) for slug in SLUGS]
    assert [str(match) for match in runner(["--include-checks", "I", "--", *stacks]).run()] == []
