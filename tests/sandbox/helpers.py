"""Tiny synthesized apps and stacks to deploy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from serverless_patterns.sandbox import Target

OF_THE_CALLER = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL_SQS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "SOME_TOKEN",
)
ECHO = """
import json, os
def handler(event, context):
    print("got", json.dumps(event))
    return dict(os.environ)
"""


def function(code: str = ECHO, **properties: Any) -> dict[str, Any]:
    """A Python function; it tells its environment and logs its event unless code is given."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"ZipFile": code},
            **properties,
        },
    }


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def role(service: str, *statements: dict[str, Any]) -> dict[str, Any]:
    """A role that the service may assume, which allows the statements."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    policy = {"PolicyName": "own", "PolicyDocument": document(*statements)}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": document(trust), "Policies": [policy]},
    }


def synthesized(folder: Path, **templates: dict[str, Any]) -> Path:
    """Write the cdk.out of an app with these stacks."""
    artifacts = {}
    for name, template in templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": artifacts}))
    return folder


def create_stack(target: Target, name: str, template: dict[str, Any]) -> dict[str, str]:
    """Create a stack without the CLI, and return its outputs."""
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
