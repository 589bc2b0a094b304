"""The pack in a user's CDK app, in one line: it guards escape hatches, and names the construct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import Acknowledgment, App, NestedStack, Stack, Stage, Validations

from serverless_patterns.lint.plugin import EventLossChecks
from serverless_patterns.patterns.blocks.queues import SqsToLambda
from tests.inline import function

if TYPE_CHECKING:
    from constructs import Construct


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(outdir=str(tmp_path))
    Validations.of(made).add_plugins(EventLossChecks())
    return made


def orders(scope: Construct, **escapes: Any) -> SqsToLambda:
    """The library's own construct, with properties of its queue overridden."""
    block = SqsToLambda(scope, "Orders", consumer=function(Stack.of(scope)))
    child: Any = block.queue.node.default_child
    for path, value in escapes.items():
        child.add_property_override(path.replace("__", "."), value)
    return block


FEW = {"RedrivePolicy__maxReceiveCount": 2}


def report(app: App) -> dict[str, Any]:
    """What the CDK reports of the plug-in."""
    app.synth()
    file = Path(app.outdir) / "validation-report.json"
    reports = json.loads(file.read_text())["pluginReports"] if file.exists() else []
    return next((each for each in reports if each["pluginName"] == "EventLoss"), {})


def found(report: dict[str, Any], key: str = "violations") -> list[tuple[str, str]]:
    return [
        (violation["ruleName"], construct["constructPath"])
        for violation in report.get(key, ())
        for construct in violation["violatingConstructs"]
    ]


def test_the_librarys_own_construct_has_no_finding(app: App) -> None:
    orders(Stack(app, "shop"))
    assert found(report(app)) == []


def test_an_escape_hatch_that_breaks_a_rule_is_reported_with_its_construct(app: App) -> None:
    orders(Stack(app, "shop"), **FEW)
    reported = report(app)
    assert found(reported) == [("W9104", "shop/Orders/Queue/Resource")]
    (violation,) = reported["violations"]
    assert "has a maximum receive count of 2" in violation["description"]
    assert violation["severity"] == "warning"
    assert violation["violatingConstructs"][0]["cloudFormationResource"]["propertyPaths"] == [
        "Properties.RedrivePolicy.maxReceiveCount"
    ]


def test_an_error_stops_the_synthesis(app: App) -> None:
    orders(Stack(app, "shop"), VisibilityTimeout=1)
    with pytest.raises(RuntimeError, match=r"(?s)E9111|ValidationFailed"):
        app.synth()


def test_a_finding_is_answered_with_a_reason_that_the_report_keeps(app: App) -> None:
    block = orders(Stack(app, "shop"), **FEW)
    answer = Acknowledgment(id="EventLoss::W9104", reason="Never throttled.")
    Validations.of(block).acknowledge(answer)
    reported = report(app)
    assert found(reported) == []
    assert found(reported, "suppressedViolations") == [("W9104", "shop/Orders/Queue/Resource")]
    assert reported["suppressedViolations"][0]["reason"] == "Never throttled."


def test_nested_stacks_and_stages_are_checked(app: App) -> None:
    orders(NestedStack(Stack(app, "shop"), "Nested"), **FEW)
    orders(Stack(Stage(app, "prod"), "shop"), **FEW)
    assert sorted(found(report(app))) == [
        ("W9104", "prod/shop/Orders/Queue/Resource"),
        ("W9104", "shop/Nested/Orders/Queue/Resource"),
    ]


def test_options_of_cfn_lint_pass_through(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    Validations.of(app).add_plugins(EventLossChecks(["--configure-rule", "W9104:least=2"]))
    orders(Stack(app, "shop"), **FEW)
    assert found(report(app)) == []
