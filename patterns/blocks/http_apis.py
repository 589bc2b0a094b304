"""For a page of a demo stack: users who sign in, and an HTTP API that they call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_logs as logs

from .findings import acknowledge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

# One line a request, with nothing that names a person.
ACCESS_LOG = {
    name: f"$context.{name}" for name in ("requestId", "status", "responseLatency", "routeKey")
}

WHY_NO_MFA = "The demo's users are made up; the scenario signs them in by password."


def demo_users(scope: Construct, construct_id: str) -> cognito.UserPool:
    """Make a user pool for users that the scenario makes up; it is removed with the stack."""
    users = cognito.UserPool(
        scope,
        construct_id,
        self_sign_up_enabled=False,
        sign_in_aliases=cognito.SignInAliases(email=True),
        password_policy=cognito.PasswordPolicy(
            min_length=12, require_lowercase=True, require_uppercase=True,
            require_digits=True, require_symbols=True,
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )  # fmt: skip
    for rule in ("AwsSolutions-COG2", "AwsSolutions-COG3", "AwsSolutions-COG8"):
        acknowledge(users, f"AwsSolutions::{rule}", WHY_NO_MFA)
    return users


def api_for_users(
    scope: Construct,
    path: str,
    function: lambda_.IFunction,
    *,
    client: cognito.IUserPoolClient,
    users: cognito.IUserPool,
    origins: Sequence[str],
    rate_limit: float = 100,
    burst_limit: float = 200,
) -> str:
    """Make an API whose GET calls a function for users who are signed in; return its URL.

    Args:
        scope: Where it is made, as ``Api``, ``Stage`` and ``AccessLogs``.
        path: Such as ``/orders``.
        function: Answers; its event has the token's claims, which API Gateway has verified.
        client: The app's client of the user pool, for which tokens are.
        users: The user pool.
        origins: Whose pages may read the answers.
        rate_limit: Requests a second. Default: 100.
        burst_limit: Requests at once. Default: 200.
    """
    cors = apigateway.CorsPreflightOptions(
        allow_origins=[*origins],
        allow_methods=[apigateway.CorsHttpMethod.GET],
        allow_headers=["authorization"],
    )
    api = apigateway.HttpApi(scope, "Api", create_default_stage=False, cors_preflight=cors)
    stage = apigateway.HttpStage(
        scope,
        "Stage",
        http_api=api,
        stage_name="$default",
        auto_deploy=True,
        throttle=apigateway.ThrottleSettings(rate_limit=rate_limit, burst_limit=burst_limit),
    )
    log = logs.LogGroup(
        scope,
        "AccessLogs",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    resource: Any = stage.node.default_child
    resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
        destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
    )
    api.add_routes(
        path=path,
        methods=[apigateway.HttpMethod.GET],
        integration=integrations.HttpLambdaIntegration("Function", function),
        authorizer=authorizers.HttpUserPoolAuthorizer("Users", users, user_pool_clients=[client]),
    )
    return f"{stage.url.rstrip('/')}{path}"
