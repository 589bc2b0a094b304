"""The synthesized stacks: unchanged by accident, and clean to the CDK, cdk-nag and cfn-lint."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_sqs as sqs
from syrupy.extensions.json import JSONSnapshotExtension

from tests.conftest import ACCEPT, ROOT
from tests.stacks import synthesize_and_validate
from tools import diagram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cfnlint.runner import Runner
    from syrupy.assertion import SnapshotAssertion

    from serverless_patterns.patterns.catalog import Pattern
    from tests.stacks import Stacks

VALIDATORS = ("CloudFormation Validate", "AwsSolutions", "Serverless")
ASSET_HASH = re.compile(r"[0-9a-f]{64}")


def test_a_stack_changes_only_on_purpose(
    template: dict[str, Any], snapshot: SnapshotAssertion
) -> None:
    masked = json.loads(ASSET_HASH.sub("[asset hash]", json.dumps(template)))
    assert masked == snapshot(extension_class=JSONSnapshotExtension), ACCEPT


def test_a_diagram_shows_the_stack_as_it_is_now(
    pattern: Pattern, template: dict[str, Any], check_generated: Callable[[Path, str], None]
) -> None:
    check_generated(pattern.folder / "diagram.svg", diagram.render(template, pattern.flow))


def test_a_stack_asks_the_kernel_little_besides_what_it_makes(
    pattern: Pattern, stacks: Stacks
) -> None:
    """Each call is a round trip to a Node process: most of the time of a synthesis."""
    calls = stacks.kernel_calls(pattern.slug)
    assert sum(calls.values()) < 5.5 * calls["CreateRequest"], calls


def findings(assembly: Path) -> dict[str, list[str]]:
    """What each validator that reports something finds; answered findings are not among it."""
    report = json.loads((assembly / "validation-report.json").read_text())
    return {
        plugin["pluginName"]: [
            f"{violation['ruleName']}: {construct['constructPath']}"
            for violation in plugin["violations"]
            for construct in violation["violatingConstructs"]
        ]
        for plugin in report["pluginReports"]
    }


def test_cdk_nag_has_no_finding_without_an_answer(pattern: Pattern, stacks: Stacks) -> None:
    found = findings(stacks.assembly(pattern.slug))
    assert not any(found.values()), found


def test_every_validator_finds_a_mistake_that_is_made(
    cdk_context: dict[str, Any], tmp_path: Path
) -> None:
    app = App(outdir=str(tmp_path), context=cdk_context)
    queue = sqs.CfnQueue(Stack(app, "mistaken"), "Queue")
    queue.add_property_override("NoSuchProperty", 1)
    synthesize_and_validate(app)
    assert all(findings(tmp_path)[name] for name in VALIDATORS)


@pytest.fixture(scope="module")
def cfn_lint() -> Runner:
    """cfn-lint with the project's settings; its rules are loaded once for all templates."""
    from cfnlint.config import ConfigMixIn  # takes half a second, and one worker needs it
    from cfnlint.runner import Runner

    return Runner(ConfigMixIn([f"--config-file={ROOT / '.cfnlintrc'}", "--"]))


@pytest.fixture(scope="module")
def own_rules() -> Runner:
    """The project's own rules, those for information too."""
    from serverless_patterns.lint.__main__ import runner

    return runner(["--include-checks", "I", "--"])


def test_cfn_lint_has_no_error_and_no_warning(cfn_lint: Runner, template: dict[str, Any]) -> None:
    assert [str(match) for match in cfn_lint.validate_template(template)] == []


def test_the_projects_own_rules_find_nothing(own_rules: Runner, template: dict[str, Any]) -> None:
    assert [str(match) for match in own_rules.validate_template(template)] == []


def test_no_stack_subscribes_an_endpoint_that_may_not_answer(template: dict[str, Any]) -> None:
    """SNS posts to it at the deployment, and rejects one that it cannot reach."""
    for logical_id, resource in template["Resources"].items():
        is_subscribed = resource["Type"] == "AWS::SNS::Subscription" and "Condition" not in resource
        if is_subscribed and resource["Properties"]["Protocol"] in ("http", "https"):
            endpoint = resource["Properties"]["Endpoint"]
            assert not isinstance(endpoint, str), f"{logical_id}: nobody of the stack is {endpoint}"
