"""A function of the demo stacks: its own handlers, its own logs, nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.blocks.functions import python_function
from serverless_patterns.patterns.blocks.layer import LAMBDAS, dependency_layer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Template]:
    outdir = tmp_path_factory.mktemp("cdk.out")
    app = App(outdir=str(outdir))
    stack = Stack(app, "Stack")
    python_function(
        stack,
        "Function",
        handler="api_sqs_lambda.orders.handler",
        layer=dependency_layer(stack, "Layer"),
        timeout=Duration.seconds(5),
    )
    template = Template.from_stack(stack)
    app.synth()
    return outdir, template


def test_the_code_is_the_patterns_handlers_and_nothing_else(
    assembly: tuple[Path, Template],
) -> None:
    (code,) = assembly[0].glob("asset.*/lambdas")
    assert [path.name for path in code.parent.iterdir()] == ["lambdas"]
    folders = {"api_sqs_lambda", "foundation"}
    assert {path.name for path in code.iterdir()} == {"__init__.py", *folders}
    expected = {path.name for path in (LAMBDAS / "api_sqs_lambda").glob("*.py")}
    assert {path.name for path in (code / "api_sqs_lambda").iterdir()} == expected


def test_a_function_may_write_its_own_log_and_send_traces_and_no_more(
    assembly: tuple[Path, Template],
) -> None:
    template = assembly[1]
    (log_group,) = template.find_resources("AWS::Logs::LogGroup")
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    logs, traces = policy["Properties"]["PolicyDocument"]["Statement"]
    assert logs == {
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Effect": "Allow",
        "Resource": {"Fn::GetAtt": [log_group, "Arn"]},
    }
    assert traces["Action"] == ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    template.has_resource_properties("AWS::IAM::Role", {"ManagedPolicyArns": Match.absent()})


def test_logs_expire_and_go_with_the_stack(assembly: tuple[Path, Template]) -> None:
    assembly[1].has_resource(
        "AWS::Logs::LogGroup",
        {"Properties": {"RetentionInDays": 30}, "DeletionPolicy": "Delete"},
    )
