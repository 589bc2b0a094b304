"""Findings of cdk-nag and of our rule pack that do not apply, each with its reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import Acknowledgment, Stack, Validations

if TYPE_CHECKING:
    from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Record why a finding on ``construct``, or on anything below it, does not apply.

    Args:
        construct: Where the finding is.
        rule: Its id as the report has it, with the pack: ``Serverless::Serverless-LambdaDLQ``. For
            one of ``EventLoss`` on a resource, the template has the reason too.
        reason: Why, for the auditor of the stack.
    """
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
    pack, _, check = rule.partition("::")
    if pack == "EventLoss":
        resource: Any = construct.node.default_child
        ignored = {"config": {"ignore_checks": [check]}, "reasons": {check: reason}}
        resource.add_metadata("cfn-lint", ignored)


def acknowledge_wildcards(construct: IConstruct, reason: str, *resources: str) -> None:
    """Record why resources with a wildcard are in the policy of ``construct``."""
    values = Stack.of(construct).resolve(list(dict.fromkeys(resources)))
    rules = [f"AwsSolutions::AwsSolutions-IAM5[Resource::{_spelled(value)}]" for value in values]
    Validations.of(construct).acknowledge(*(Acknowledgment(id=r, reason=reason) for r in rules))


def resource_in_findings(scope: IConstruct, resource: str) -> str:
    """Return a resource of a policy as cdk-nag names it: ``<Bucket1A2B.Arn>/clicks/*``."""
    return _spelled(Stack.of(scope).resolve(resource))


def _spelled(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_in_findings(part) for part in parts)
    return _in_findings(value)


def _in_findings(part: Any) -> str:
    match part:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": _}:
            return _spelled(part)
        case str():
            return part
        case _:
            return json.dumps(part, separators=(",", ":"))
