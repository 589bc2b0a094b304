"""Roles of several stacks."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, NestedStack, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from serverless_patterns.patterns.blocks.stacks import SAFE_NAMES, check_order, needs, role_in
from tests.inline import function, rejected


def imported(app: App, name: str, role_id: str = "Role") -> tuple[Stack, lambda_.IFunction]:
    """A stack that imports a function with its role."""
    stack = Stack(app, name)
    role = iam.Role.from_role_arn(stack, role_id, "arn:aws:iam::111111111111:role/theirs")
    arn = "arn:aws:lambda:us-east-1:111111111111:function:theirs"
    return stack, lambda_.Function.from_function_attributes(
        stack, "Function", function_arn=arn, role=role
    )


@pytest.mark.parametrize(
    ("context", "role_id", "problem"),
    [
        ({}, "Role", "One and Two both import the role .* as Role"),
        ({}, "Other", None),
        ({SAFE_NAMES: True}, "Role", None),
    ],
)
def test_two_stacks_do_not_replace_each_others_policy_of_a_role(
    context: dict[str, Any], role_id: str, problem: str | None
) -> None:
    app = App(context=context)
    one, first = imported(app, "One")
    for _ in range(2):  # as often as it likes
        assert role_in(one, first).role_name == "theirs"
    with rejected(problem):
        role_in(*imported(app, "Two", role_id))


def test_stacks_that_would_need_each_other_are_rejected_over_others_too() -> None:
    app = App()
    one, two, three = (function(Stack(app, name)) for name in ("One", "Two", "Three"))
    check_order(one, "first", two)
    check_order(two, "second", three)
    check_order(one, "again", three)
    assert needs(one, three)
    assert not needs(three, one)
    with rejected("third is in stack One, which needs Three already, for first, second: stacks"):
        check_order(three, "third", one)
    nested, other = (function(NestedStack(one.stack, name)) for name in ("Nested", "Other"))
    check_order(nested, "its parent's", one)
    check_order(one, "its own", nested)
    check_order(nested, "its neighbour's", other)
    with rejected(
        "a last one is in stack One/Nested, which needs One/Other already, for its neigh"
    ):
        check_order(other, "a last one", nested)
