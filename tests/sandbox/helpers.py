"""Tiny synthesized apps and stacks to deploy."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aws_cdk import Stack

    from serverless_patterns.sandbox import Deployment, Target

OF_THE_CALLER = (
    "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL_SQS", "HTTPS_PROXY", "HTTP_PROXY", "NODE_OPTIONS", "SOME_TOKEN",
)  # fmt: skip
OFTEN = {"Delay": 0.1, "MaxAttempts": 100}
ECHO = """
import json, os
def handler(event, context):
    print("got", json.dumps(event))
    return dict(os.environ)
"""


def on(target: str, make: Callable[[Target], Any]) -> Any:
    """A fixture: what a file's tests make once on a target."""

    @pytest.fixture(scope="module")
    def made(request: pytest.FixtureRequest) -> Any:
        return make(request.getfixturevalue(target))

    return made


def template(resources: dict[str, Any], **outputs: Any) -> dict[str, Any]:
    """A template; outputs by name."""
    values = {name: {"Value": value} for name, value in outputs.items()}
    return {"Resources": resources, "Outputs": values}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource, its type without ``AWS::``."""
    return {"Type": f"AWS::{kind}", "Properties": properties}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn(name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, "Arn"]}


def function(code: str = ECHO, **properties: Any) -> dict[str, Any]:
    """A Python function; it tells its environment and logs its event unless code is given."""
    properties = {"Runtime": "python3.13", "Handler": "index.handler", **properties}
    properties.setdefault("Role", "arn:aws:iam::000000000000:role/any")
    return resource("Lambda::Function", Code={"ZipFile": code}, **properties)


def allow(action: str, resource: Any, **more: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def role(service: str, *statements: dict[str, Any]) -> dict[str, Any]:
    """A role that the service may assume, which allows the statements."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    policy = {"PolicyName": "own", "PolicyDocument": document(*statements)}
    return resource("IAM::Role", AssumeRolePolicyDocument=document(trust), Policies=[policy])


def delivery(topic: str, queue: str) -> dict[str, Any]:
    """A statement that lets a topic deliver into a queue."""
    sns, source = {"Service": "sns.amazonaws.com"}, {"aws:SourceArn": ref(topic)}
    send = allow("sqs:SendMessage", arn(queue), Principal=sns)
    return send | {"Condition": {"ArnEquals": source}}


def subscription(topic: str, queue: str) -> dict[str, Any]:
    return resource(
        "SNS::Subscription",
        TopicArn=ref(topic),
        Protocol="sqs",
        Endpoint=arn(queue),
        RawMessageDelivery=True,
    )


def synthesized(folder: Path, **templates: dict[str, Any]) -> Path:
    """Write the cdk.out of an app with these stacks."""
    artifacts = {}
    for name, made in templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(made))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": artifacts}))
    return folder


def create_stack(target: Target, name: str, made: dict[str, Any]) -> Deployment:
    """Create a stack without the CLI."""
    return _put_stack(target, "create", name, made)


def without_bootstrap() -> Stack:
    """Return an empty stack for constructs, which needs no bootstrap stack."""
    from aws_cdk import App, DefaultStackSynthesizer, Stack

    no_rule = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    return Stack(App(), "Stack", synthesizer=no_rule)


def create_constructs(target: Target, name: str, made: Stack, **outputs: str) -> Deployment:
    """Create a stack of constructs without the CLI; outputs by name."""
    from aws_cdk import CfnOutput
    from aws_cdk.assertions import Template

    for output, value in outputs.items():
        CfnOutput(made, output, value=value)
    return create_stack(target, name, dict(Template.from_stack(made).to_json()))


def update_stack(target: Target, name: str, made: dict[str, Any]) -> Deployment:
    """Update a stack without the CLI."""
    return _put_stack(target, "update", name, made)


def _put_stack(target: Target, what: str, name: str, made: dict[str, Any]) -> Deployment:
    cloudformation = target.client("cloudformation")
    put = getattr(cloudformation, f"{what}_stack")
    put(StackName=name, TemplateBody=json.dumps(made), Capabilities=["CAPABILITY_IAM"])
    done = cloudformation.get_waiter(f"stack_{what}_complete")
    done.wait(StackName=name, WaiterConfig=OFTEN)
    return target.deployed(name)


@contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve on a port of this machine, and yield it."""
    handler.log_message = lambda *_: None  # type: ignore[method-assign]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
