"""REST API with access logs, tracing and throttling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs

from .findings import acknowledge

if TYPE_CHECKING:
    from constructs import Construct

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


def rest_api(
    scope: Construct,
    *,
    rate_limit: float,
    burst_limit: int,
    cloud_watch_role: bool = False,
) -> apigateway.RestApi:
    """Make a regional API that logs each request, traces and throttles; its output is yours.

    Args:
        scope: Where the API and its log group are made, as ``Api`` and ``AccessLogs``.
        rate_limit: Requests a second.
        burst_limit: Requests at once.
        cloud_watch_role: Also sets the account's one role for API Gateway's logs. Default: False.
    """
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
