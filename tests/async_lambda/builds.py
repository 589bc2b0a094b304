"""How the contract suites make the construct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from tests import inline
from tests.contracts.builds import Build

if TYPE_CHECKING:
    from aws_cdk import Stack

CANARY = codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES


def make(stack: Stack, construct_id: str = "Pattern", /, **settings: Any) -> AsyncLambda:
    function = settings.pop("function", None) or inline.function(stack, f"{construct_id}Function")
    return AsyncLambda(stack, construct_id, function=function, **settings)


def make_rollout(stack: Stack, construct_id: str = "Pattern", /, **settings: Any) -> AsyncLambda:
    return make(stack, construct_id, rollout=CANARY, **settings)


def imported(stack: Stack, alias: str = "") -> lambda_.IFunction:
    arn = f"arn:aws:lambda:us-east-1:111111111111:function:theirs{alias}"
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/imported")
    given: Any = {"function_arn": arn, "role": role, "same_environment": True}
    return lambda_.Function.from_function_attributes(stack, "Theirs", **given)


BUILDS = [
    Build("async_lambda", make, frozenset({"alarms"})),
    Build("async_lambda rollout", make_rollout, frozenset({"alarms"})),
]
