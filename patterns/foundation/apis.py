"""REST API with access logs, tracing and throttling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_cdk import Annotations, RemovalPolicy, Token
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs

from .findings import acknowledge

if TYPE_CHECKING:
    from constructs import Construct

DEFAULT_RATE_LIMIT = 100
DEFAULT_BURST_LIMIT = 200
# One line a request, with what finds a failure and nothing that names a person.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "integrationStatus": "$context.integrationStatus",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "errorType": "$context.error.responseType",
    "errorMessage": "$context.error.message",
    "validationError": "$context.error.validationErrorString",
    "traceId": "$context.xrayTraceId",
}
REFUSED_BY_SCHEMA = (
    '{"message": $context.error.messageString, '
    '"reason": "$context.error.validationErrorString", "requestId": "$context.requestId"}'
)


def check_own_api(api: apigateway.IRestApi, usage_plan: apigateway.UsagePlan | None = None) -> None:
    """Refuse a usage plan for a stage that is not known; warn of what an imported API needs.

    Raises:
        ValueError: ``usage_plan`` next to an imported API (Amazon API Gateway developer guide,
            "Usage plans and API keys for REST APIs in API Gateway": a plan names stages).
    """
    if isinstance(api, apigateway.RestApi):
        return
    if usage_plan is not None:
        raise ValueError(
            f"usage_plan was given together with {api.node.path}, which is imported, so its stage "
            "is not known here. Set the plan where the API is made, or leave api out."
        )
    Annotations.of(api).add_warning_v2(
        "serverless-patterns:imported-api",
        "This API is imported, so its stages cannot be deployed or checked here: what is added "
        "answers only once the API is deployed again, and it needs throttling, access logs and an "
        "alarm on 5XXError of its own.",
    )


def _check_limits(rate_limit: float, burst_limit: int) -> None:
    """Refuse throttling that turns every request away.

    Raises:
        ValueError: a rate of 0 or a burst below 1 (Amazon API Gateway developer guide, "Throttle
            requests to your REST APIs for better throughput in API Gateway").
    """
    for name, limit, allowed in (
        ("rate_limit", rate_limit, rate_limit > 0),
        ("burst_limit", burst_limit, burst_limit >= 1),
    ):
        if not allowed and not Token.is_unresolved(limit):
            raise ValueError(
                f"{name} is {limit:g}, so every request would be answered with 429. Allow at least "
                "1, or leave it out."
            )


def rest_api(
    scope: Construct,
    *,
    rate_limit: float | None = None,
    burst_limit: int | None = None,
    cloud_watch_role: bool = False,
) -> apigateway.RestApi:
    """Make a regional API that logs each request, traces and throttles; its output is yours.

    Args:
        scope: Where the API and its log group are made, as ``Api`` and ``AccessLogs``.
        rate_limit: Requests a second. Default: 100.
        burst_limit: Requests at once. Default: 200.
        cloud_watch_role: Also sets the account's one role for API Gateway's logs. Default: False.

    Raises:
        ValueError: a limit that turns every request away.
    """
    rate_limit = DEFAULT_RATE_LIMIT if rate_limit is None else rate_limit
    burst_limit = DEFAULT_BURST_LIMIT if burst_limit is None else burst_limit
    _check_limits(rate_limit, burst_limit)
    access_logs = logs.LogGroup(
        scope,
        "AccessLogs",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    api = apigateway.RestApi(
        scope,
        "Api",
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        cloud_watch_role=cloud_watch_role,
        deploy_options=apigateway.StageOptions(
            throttling_rate_limit=rate_limit,
            throttling_burst_limit=burst_limit,
            tracing_enabled=True,
            access_log_destination=apigateway.LogGroupLogDestination(access_logs),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps(ACCESS_LOG)),
        ),
    )
    acknowledge(
        api,
        "AwsSolutions::AwsSolutions-APIG6",
        "Access logs tell what failed. Execution logs would go to a log group outside the stack "
        "that never expires.",
    )
    api.node.try_remove_child("Endpoint")  # an output, which is the stack's to make
    apigateway.GatewayResponse(
        scope,
        "RefusedRequest",
        rest_api=api,
        type=apigateway.ResponseType.BAD_REQUEST_BODY,
        templates={"application/json": REFUSED_BY_SCHEMA},
    )
    return api
