"""Findings of cdk-nag that do not apply, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, Validations

if TYPE_CHECKING:
    from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Record why a finding on ``construct``, or on anything below it, does not apply.

    Args:
        construct: Where the finding is.
        rule: Its id as cdk-nag prints it, with the pack: ``Serverless::Serverless-LambdaDLQ``.
        reason: Why, for whoever audits the stack.
    """
    Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))
