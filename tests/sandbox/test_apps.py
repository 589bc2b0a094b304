"""Apps of every shape deploy: stages, Regions, accounts, parameters, custom resources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import DeployFailed, SandboxError, Target, assembly
from tests.sandbox.helpers import arn, function, ref, resource, role, synthesized, template

if TYPE_CHECKING:
    from pathlib import Path

NAMED = {"Parameters": {"Colour": {"Type": "String", "Default": "red"}}}
QUEUE = template({"Queue": resource("SQS::Queue")}, QueueUrl=ref("Queue"), Colour=ref("Colour"))
# Answers CloudFormation as the CDK's own functions do, without an AWS SDK.
ANSWERS = """
import json, urllib.request
def handler(event, context):
    print("made", event["LogicalResourceId"])
    answer = {"Status": "SUCCESS", "PhysicalResourceId": "made", "Data": {"Answer": "42"}}
    answer |= {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    body = json.dumps(answer).encode()
    request = urllib.request.Request(event["ResponseURL"], data=body, method="PUT")
    request.add_header("Content-Type", "")
    urllib.request.urlopen(request)
"""
FORGETS = """
def handler(event, context):
    print("asked for", event["LogicalResourceId"])
"""


def custom(code: str) -> dict[str, Any]:
    """A stack with a custom resource that this code makes."""
    made = {"Type": "Custom::Made", "Properties": {"ServiceToken": arn("Maker")}}
    maker = function(code, Role=arn("Role"))
    resources = {"Role": role("lambda.amazonaws.com"), "Maker": maker, "Made": made}
    return template(resources, Answer={"Fn::GetAtt": ["Made", "Answer"]})


def app(folder: Path, environment: str = "aws://unknown-account/unknown-region") -> Path:
    """An app with a stack of its own name, and one inside a stage."""
    inside = folder / "assembly-Prod"
    inside.mkdir()
    synthesized(inside, ProdShip1A2B=QUEUE | NAMED)
    of_stage = json.loads((inside / "manifest.json").read_text())
    stack = of_stage["artifacts"]["ProdShip1A2B"]
    stack |= {"displayName": "Prod/Ship", "environment": environment}
    stack["properties"]["stackName"] = "Prod-Ship"
    (inside / "manifest.json").write_text(json.dumps(of_stage))
    synthesized(folder, Orders=QUEUE | NAMED)
    of_app = json.loads((folder / "manifest.json").read_text())
    of_app["artifacts"]["Orders"]["properties"]["stackName"] = "shop-orders"
    of_app["artifacts"]["assembly-Prod"] = {
        "type": "cdk:cloud-assembly",
        "properties": {"directoryName": "assembly-Prod"},
    }
    (folder / "manifest.json").write_text(json.dumps(of_app))
    return folder


def test_a_stack_is_found_by_its_name_its_path_and_its_id(tmp_path: Path) -> None:
    folder = app(tmp_path)
    for name in ("Prod-Ship", "Prod/Ship", "ProdShip1A2B"):
        [(key, found)] = assembly.select(folder, [name]).items()
        assert (key, found.name, found.path) == (name, "Prod-Ship", "Prod/Ship")
    assert [stack.name for stack in assembly.stacks(folder)] == ["shop-orders", "Prod-Ship"]
    with pytest.raises(SandboxError, match=r"no stack 'orders'. There are: Orders, Prod/Ship\."):
        assembly.select(folder, ["orders"])


def test_outputs_have_the_name_that_was_asked_for(shared: Target, tmp_path: Path) -> None:
    folder = app(tmp_path)
    blue = {"Colour": "blue"}
    deployed = shared.deploy(folder, ["Orders", "Prod/Ship"], parameters=blue)
    assert list(deployed) == ["Orders", "Prod/Ship"]
    for deployment in deployed.values():
        assert deployment["QueueUrl"].startswith("https://")
        assert deployment["Colour"] == "blue"


def test_a_stack_is_deployed_into_the_region_that_it_names(shared: Target, tmp_path: Path) -> None:
    folder = app(tmp_path, "aws://unknown-account/eu-west-1")
    deployed = shared.deploy(folder, ["Prod/Ship"])["Prod/Ship"]
    assert deployed.region == "eu-west-1"
    queue = deployed.client("sqs").get_queue_attributes(
        QueueUrl=deployed["QueueUrl"], AttributeNames=["QueueArn"]
    )
    assert ":eu-west-1:" in queue["Attributes"]["QueueArn"]


def test_a_stack_of_another_account_is_refused(shared: Target, tmp_path: Path) -> None:
    folder = app(tmp_path, "aws://111111111111/unknown-region")
    with pytest.raises(SandboxError, match=r"Prod/Ship names account 1{12}, but this is 0{12}"):
        shared.deploy(folder, ["Prod/Ship"])


def test_a_custom_resource_answers_over_tls(shared: Target, tmp_path: Path) -> None:
    deployed = shared.deploy(synthesized(tmp_path, answers=custom(ANSWERS)))
    assert deployed["answers"]["Answer"] == "42"


def test_a_resource_that_never_answers_is_named_with_what_its_function_logged(
    shared: Target, tmp_path: Path
) -> None:
    folder = synthesized(tmp_path, forgets=custom(FORGETS))
    with pytest.raises(DeployFailed, match="took longer than 15 s") as failure:
        shared.deploy(folder, seconds=15)
    assert "forgets | Made | Custom::Made | CREATE_IN_PROGRESS" in str(failure.value)
    assert "Maker logged: asked for Made" in str(failure.value)
