"""A Python function of the demo stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aws_cdk import IgnoreMode, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from .findings import acknowledge
from .grants import service_principal
from .layer import ARCHITECTURE, LAMBDAS, RUNTIME
from .values import made_in, remember_role, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import Duration, Stack
    from constructs import Construct

# The code of each package that a stack has: its functions share one asset.
_CODE: WeakKeyDictionary[Stack, dict[str, lambda_.Code]] = WeakKeyDictionary()


def python_function(
    scope: Construct,
    construct_id: str,
    *,
    handler: str,
    layer: lambda_.ILayerVersion,
    timeout: Duration,
    memory_size: int = 512,
    environment: Mapping[str, str] | None = None,
) -> lambda_.Function:
    """Make a function that logs to its own group and may do nothing else yet.

    Args:
        scope: Where the function is made.
        construct_id: Its id there.
        handler: Module and function below ``lambdas/``: ``api_sqs_lambda.orders.handler``. The
            code asset is the first part's folder, and what handlers share.
        layer: What the handler imports besides boto3.
        timeout: Longest run of one call, at most 15 minutes.
        memory_size: MB; the CPU grows with it. Default: 512.
        environment: Variables. Default: none but the service name in the logs.
    """
    package = handler.split(".", 1)[0]
    log_group = logs.LogGroup(
        scope,
        f"{construct_id}Logs",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    # A role of its own: the default one adds a managed policy for every log group there is.
    role = iam.Role(
        scope, f"{construct_id}Role", assumed_by=service_principal("lambda.amazonaws.com")
    )
    log_group.grant_write(role)
    acknowledge(
        role,
        "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
        "AWS X-Ray takes no resource for the actions that send traces.",
    )
    function = lambda_.Function(
        scope,
        construct_id,
        runtime=RUNTIME,
        architecture=ARCHITECTURE,
        handler=f"lambdas.{handler}",
        code=_code_of(scope, package),
        layers=[layer],
        timeout=timeout,
        memory_size=memory_size,
        environment={"POWERTOOLS_SERVICE_NAME": package, **(environment or {})},
        role=role,
        log_group=log_group,
        tracing=lambda_.Tracing.ACTIVE,
    )
    made_in(scope, role, function)
    remember_role(function, role)
    return function


def _code_of(scope: Construct, package: str) -> lambda_.Code:
    known = _CODE.setdefault(stack_of(scope), {})
    if package not in known:
        known[package] = lambda_.Code.from_asset(
            str(LAMBDAS.parent),
            exclude=[
                "/*",
                "!/lambdas",
                "/lambdas/*",
                "!/lambdas/__init__.py",
                "!/lambdas/foundation",
                f"!/lambdas/{package}",
                "__pycache__",
            ],
            ignore_mode=IgnoreMode.GIT,
        )
    return known[package]
