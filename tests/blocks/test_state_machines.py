"""Who can be granted the executions of a state machine."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from serverless_patterns.patterns.blocks.grants import check_grantee
from tests.inline import function, rejected

HERE = Environment(account="1" * 12, region="us-east-1")
ROOT = iam.AccountRootPrincipal()


def role_of(account: str) -> Any:
    arn = f"arn:aws:iam::{account * 12}:role/theirs"
    return lambda stack: iam.Role.from_role_arn(stack, "Theirs", arn)


@pytest.mark.parametrize(
    ("grantee", "problem"),
    [
        (function, None),
        (role_of("1"), None),
        (lambda stack: iam.User(stack, "User"), None),
        (
            lambda _: iam.ServicePrincipal("events.amazonaws.com"),
            "of type ServicePrincipal, has no",
        ),
        (lambda _: ROOT, "of type AccountRootPrincipal, has no role or user"),
        (
            lambda stack: lambda_.Function.from_function_name(stack, "Theirs", "theirs"),
            "imported with its role",
        ),
        (role_of("2"), "is in account 222222222222, where nothing can be granted from here"),
        (
            lambda stack: iam.Role(
                Stack(
                    stack.node.scope, "There", env=Environment(account="1" * 12, region="eu-west-1")
                ),
                "Role",
                assumed_by=ROOT,
            ),
            "is in Region eu-west-1, where",
        ),
    ],
)
def test_whom_no_policy_can_be_given_is_rejected(grantee: Any, problem: str | None) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    with rejected(problem):
        check_grantee(stack, grantee(stack))


def test_a_role_may_be_of_an_account_that_only_deployment_knows(stack: Stack) -> None:
    check_grantee(stack, role_of("2")(stack))
