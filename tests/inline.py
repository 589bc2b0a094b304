"""A function to give to a construct, which needs no asset, and what a stack has or says of it."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Annotations, Match, Template

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aws_cdk import Stack


def function(stack: Stack, construct_id: str = "Consumer", **settings: Any) -> lambda_.Function:
    defaults: dict[str, Any] = {
        "code": lambda_.Code.from_inline("def handler(event, context): ..."),
        "handler": "index.handler",
        "timeout": Duration.seconds(10),
    }
    return lambda_.Function(
        stack, construct_id, runtime=lambda_.Runtime.PYTHON_3_14, **defaults | settings
    )


def rejected(problem: str | None) -> AbstractContextManager[Any]:
    """Expect a ``ValueError`` that says this; None: expect none."""
    return pytest.raises(ValueError, match=problem) if problem else nullcontext()


def properties(stack: Stack, kind: str) -> list[dict[str, Any]]:
    """The properties of a stack's resources of one type, without its ``AWS::``."""
    found = Template.from_stack(stack).find_resources(f"AWS::{kind}").values()
    return [resource.get("Properties", {}) for resource in found]


def warned(stack: Stack, pattern: str, path: str = "/Stack/Theirs") -> None:
    """Assert that a construct, by default the imported one, has a warning that says this."""
    Annotations.from_stack(stack).has_warning(path, Match.string_like_regexp(pattern))


def text(value: Any) -> str:
    """Return a template's text, with <the name> of each resource it refers to."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(text(part) for part in value["Fn::Join"][1])
    name = re.search(r'"(?:Ref|Fn::GetAtt)": \[?"(.+?)"', json.dumps(value))
    return f"<{name[1].rstrip('0123456789ABCDEF')}>" if name else ""


def granted(template: Template, role: str) -> set[tuple[str, str]]:
    """Return action and resource of all that the policies of a role allow."""
    found = set()
    for name, policy in template.find_resources("AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"] * (role in name):
            actions, each = statement["Action"], statement["Resource"]
            for action in [actions] if isinstance(actions, str) else actions:
                found |= {(action, text(r)) for r in (each if isinstance(each, list) else [each])}
    return found


def only(template: Template, kind: str, **of: Any) -> dict[str, Any]:
    """Return the properties of the one resource of a type."""
    (resource,) = template.find_resources(kind, {"Properties": of}).values()
    found: dict[str, Any] = resource["Properties"]
    return found
