"""Findings of cdk-nag and of our rule pack that do not apply, each with its reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import Acknowledgment, Validations

from .values import asked_once, child_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constructs import IConstruct

EVENT_LOSS = "EventLoss::"


@asked_once
def _validations(construct: IConstruct) -> Validations:
    return Validations.of(construct)


def acknowledge(construct: IConstruct, rules: str | Sequence[str], reason: str) -> None:
    """Record why findings on ``construct``, or on anything below it, do not apply.

    Args:
        construct: Where the findings are.
        rules: The id of one, or of each, as the report has it, with the pack:
            ``Serverless::Serverless-LambdaDLQ``. For one of ``EventLoss`` on a resource, the
            template has the reason too.
        reason: Why, for the auditor of the stack.
    """
    rules = [rules] if isinstance(rules, str) else rules
    _validations(construct).acknowledge(*(Acknowledgment(id=r, reason=reason) for r in rules))
    for check in [rule.removeprefix(EVENT_LOSS) for rule in rules if rule.startswith(EVENT_LOSS)]:
        resource: Any = child_of(construct)
        ignored = {"config": {"ignore_checks": [check]}, "reasons": {check: reason}}
        resource.add_metadata("cfn-lint", ignored)


def acknowledge_wildcards(construct: IConstruct, reason: str, *resources: str) -> None:
    """Record why resources with a wildcard are in the policy of ``construct``."""
    values = stack_of(construct).resolve(list(dict.fromkeys(resources)))
    rules = [f"AwsSolutions::AwsSolutions-IAM5[Resource::{_spelled(value)}]" for value in values]
    acknowledge(construct, rules, reason)


def resource_in_findings(scope: IConstruct, resource: str) -> str:
    """Return a resource of a policy as cdk-nag names it: ``<Bucket1A2B.Arn>/clicks/*``."""
    return _spelled(stack_of(scope).resolve(resource))


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
