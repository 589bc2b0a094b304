"""client → API Gateway → any AWS service, with no function between them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Names, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from .alarms import Alarms, Runbook
from .findings import acknowledge
from .values import expect, expect_fields, number, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_cloudwatch as cloudwatch

JSON = "application/json"
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
REQUEST_ID = '"requestId": "$context.requestId"'
_FAILED = f'{{"message": "The request was not accepted. Send it again.", {REQUEST_ID}}}'
SERVER_ERRORS = Runbook(
    means="More than 5 % of the requests are answered with 5xx, so clients must send them again.",
    see="Read errorMessage, status and integrationStatus in the API's access log.",
    fix="Fix what they name: most often the API's role, the key of what it calls, or a quota.",
    verify="A request of yours is accepted, and 5XXError falls.",
)


@dataclass(frozen=True)
class NewApi:
    """Settings of a new Regional REST API, which logs every request, traces and throttles.

    Attributes:
        rate_limit: Requests a second. Default: 100.
        burst_limit: Requests at once. Default: 200.
        cloud_watch_role: Also sets the account's one role for API Gateway's logs, which access logs
            need; set it when no stack of the account and Region has done so. Default: False.

    Raises:
        ValueError: a limit that rejects every request.
    """

    rate_limit: float = 100
    burst_limit: int = 200
    cloud_watch_role: bool = False

    def __post_init__(self) -> None:
        """Reject throttling that rejects every request.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html

        Raises:
            ValueError: a rate of 0, or a burst below 1.
        """
        expect_fields(self, rate_limit=(int, float), burst_limit=(int,), cloud_watch_role=(bool,))
        rate, burst = number(self.rate_limit), number(self.burst_limit)
        for name, limit, too_low in (
            ("rate_limit", rate, rate is not None and rate <= 0),
            ("burst_limit", burst, burst is not None and burst < 1),
        ):
            if too_low:
                raise ValueError(
                    f"{name} is {limit:g}, so every request would be answered with 429. Allow at "
                    "least 1, or leave it out."
                )


@dataclass(frozen=True)
class Endpoint:
    """Where clients send their requests, and who may.

    Attributes:
        path: Resource under the API's root, such as ``orders``.
        api: Your own API, or the settings of a new one.
        schema: JSON schema of the body, checked before the service is called. Default: any JSON.
        authorizer: Cognito or Lambda authorizer. Default: IAM (signed requests).
        usage_plan: Requires an API key of this plan, in place of IAM; the API's stage joins it.
    """

    path: str = "messages"
    api: apigateway.IRestApi | NewApi = NewApi()
    schema: apigateway.JsonSchema | None = None
    authorizer: apigateway.IAuthorizer | None = None
    usage_plan: apigateway.UsagePlan | None = None

    def __post_init__(self) -> None:
        """Reject a setting of a wrong type."""
        expect_fields(
            self,
            path=(str,),
            api=("IRestApi", NewApi),
            schema=(apigateway.JsonSchema, None),
            authorizer=("IAuthorizer", None),
            usage_plan=(apigateway.UsagePlan, None),
        )

    def authorization(self) -> dict[str, Any]:
        """Return the options of a method: who may call it."""
        key_required = {"api_key_required": True} if self.usage_plan else {}
        if self.authorizer:
            return {"authorizer": self.authorizer, **key_required}
        kind = apigateway.AuthorizationType
        return {"authorization_type": kind.NONE if self.usage_plan else kind.IAM, **key_required}


@dataclass(frozen=True)
class RequestField:
    """A value of the request that names a message group, a deduplication id or an execution.

    Make one with :meth:`body`, :meth:`header` or :meth:`path`.

    Attributes:
        name: Its name in the request.
        value: The value in a mapping template, not encoded yet.
    """

    name: str
    value: str

    @classmethod
    def body(cls, name: str) -> RequestField:
        """Take a field of the JSON body: ``order_id``, or ``order.id`` for a nested one.

        Raises:
            ValueError: the name is not made of letters, digits, ``_`` and dots.
        """
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name, re.ASCII):
            raise ValueError(f"body field {name!r}: use letters, digits and _, nested with dots.")
        return cls(name, f"$input.path('$.{name}')")

    @classmethod
    def header(cls, name: str) -> RequestField:
        """Take a request header, spelt like this or in lower case.

        API Gateway looks headers up by their spelling, and HTTP/2 clients send lower case. Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html

        Raises:
            ValueError: the name is not made of letters, digits and ``-``.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
            raise ValueError(f"header {name!r}: use letters, digits and -.")
        spellings = dict.fromkeys((name, name.lower()))
        found = "".join(f"$!input.params('{spelling}')" for spelling in spellings)
        return cls(name, f'"{found}"')

    @classmethod
    def path(cls, name: str) -> RequestField:
        """Take a parameter of the path: ``name`` of ``orders/{name}``."""
        return cls(name, f"$!input.params('{name}')")


@dataclass(frozen=True)
class ServiceCall:
    """A call of an AWS service by API Gateway, and what its answer becomes for the client.

    The client gets ``status`` only for the service's own 200. An error that the client can fix is a
    4xx with its reason, any other one a 503: send it again. An answer that is neither is a 502.

    Attributes:
        service: The service's name in an integration's URI, such as ``sqs``.
        request: Mapping template of the call; every value that a client can influence is encoded.
        status: What the client gets for the service's 200.
        answer: Mapping template of that answer.
        refused: What a refusal says to the client.
        client_faults: The service's error codes that the client can fix, each with its status.
        path: Its path, for a service that is called by one.
        action: Its action, for any other.
        headers: Headers of the call, as ``integration.request.header.<name>``. Default: none.
        error_code: Where the service's answer has its error code. Default: ``__type``, as services
            with a JSON protocol do.
        error_detail: Expression for a sentence about the error, escaped for JSON. Default: none.
        overrides: Further statuses that ``answer`` may set.
    """

    service: str
    request: str
    status: int
    answer: str
    refused: str
    client_faults: Mapping[str, int]
    path: str | None = None
    action: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error_code: str = "$input.path('$.__type').replaceAll('.*[#]', '')"
    error_detail: str = ""
    overrides: tuple[int, ...] = ()

    @property
    def statuses(self) -> list[int]:
        """Every status that the client may get."""
        return sorted({self.status, *self.client_faults.values(), *self.overrides, 422, 502, 503})

    def responses(self) -> list[apigateway.IntegrationResponse]:
        """Return the answers; the one without a pattern is a 502.

        API Gateway uses the response without a selection pattern for every status that no pattern
        matches, so a 2xx there would hide failures. Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
        """
        return [
            _response(self.status, "200", self.answer),
            _response(422, "400", self._refusal()),
            _response(502, None, _FAILED),
        ]

    def _refusal(self) -> str:
        """Return a 4xx's template: each code's own status, and 503 for any other.

        The conditions are inside the reason, where they print nothing, so that the answer stays
        JSON on an emulator that knows no #if.
        """
        known = " ".join(self.client_faults)
        others = {status for status in self.client_faults.values() if status != 422}
        override = '#if(!$clientFaults.contains(" $code "))' + _set_status(503) + "#end"
        for status in sorted(others):
            codes = [code for code, its in self.client_faults.items() if its == status]
            either = " || ".join(f'$code == "{code}"' for code in codes)
            override += f"#if({either}){_set_status(status)}#end"
        detail = '"detail": "$!detail", ' if self.error_detail else ""
        set_detail = f"#set($detail = {self.error_detail})\n" if self.error_detail else ""
        return (
            f"#set($code = {self.error_code})\n{set_detail}"
            f'#set($clientFaults = " {known} ")\n'
            f'{{"message": "{self.refused}", "reason": "$!code{override}", {detail}{REQUEST_ID}}}'
        )


def _set_status(status: int) -> str:
    return f"#set($context.responseOverride.status = {status})"


def _response(status: int, pattern: str | None, template: str) -> apigateway.IntegrationResponse:
    return apigateway.IntegrationResponse(
        status_code=str(status), selection_pattern=pattern, response_templates={JSON: template}
    )


def escaped(value: str, *, quiet: bool = False) -> str:
    """Return a value of a mapping template, escaped for the inside of a JSON string.

    With ``quiet`` a missing value prints nothing, outside of ``#set``.

    ``escapeJavaScript`` also escapes ', which JSON does not know. Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    return f'${"!" * quiet}util.escapeJavaScript({value}).replaceAll("\\\\\'", "\'")'


class RestEntry(Construct):
    """client → API Gateway → an AWS service

    The client sees 400 for a body that breaks the schema; 403 unsigned; 415 for anything but JSON;
    429 throttled; the rest is the answer to its ``ServiceCall``.

    Args:
        endpoint: Where clients send their requests, and who may.
        alarms: What the alarm of a new API does.

    Attributes:
        api: The API.
        role: What API Gateway may do for these methods.
        alarms: On 5xx answers of a new API; none for your own.

    Raises:
        ValueError: a usage plan for an API whose stage is not known.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        endpoint: Endpoint,
        *,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("endpoint", endpoint, Endpoint)
        super().__init__(scope, construct_id)
        self._endpoint = endpoint
        self.alarms: list[cloudwatch.Alarm] = []
        if isinstance(endpoint.api, NewApi):
            api = _new_api(self, endpoint.api)
            metric = api.metric_server_error(period=seconds(60), statistic="Average")
            self.alarms.append(
                alarms.above(
                    self,
                    "ServerErrorAlarm",
                    metric,
                    SERVER_ERRORS,
                    threshold=0.05,
                    evaluation_periods=3,
                )
            )
            self.api: apigateway.IRestApi = api
        else:
            _check_own_api(endpoint.api, endpoint.usage_plan)
            self.api = endpoint.api
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com")
        )
        self._resource = self.api.root.resource_for_path(endpoint.path)
        if endpoint.usage_plan:
            endpoint.usage_plan.add_api_stage(stage=self.api.deployment_stage)

    @property
    def url(self) -> str:
        """Where clients send their requests."""
        return self.api.deployment_stage.url_for_path(self._resource.path)

    def add_post(self, call: ServiceCall) -> apigateway.Method:
        """Answer POST with a call of a service, once the body has passed the schema."""
        schema = self._endpoint.schema
        options: dict[str, Any] = {
            "request_validator": apigateway.RequestValidator(
                self,
                "Validator",
                rest_api=self.api,
                validate_request_body=True,
                validate_request_parameters=True,
            )
        }
        if schema:
            model = apigateway.Model(
                self, "Schema", rest_api=self.api, content_type=JSON, schema=schema
            )
            options["request_models"] = {JSON: model}
        return self._add(self._resource, "POST", call, options)

    def add_get(self, below: str, call: ServiceCall) -> apigateway.Method:
        """Answer GET of a resource below the path, such as ``{name}``, with a call of a service."""
        return self._add(self._resource.add_resource(below), "GET", call, {})

    def _add(
        self,
        resource: apigateway.IResource,
        http_method: str,
        call: ServiceCall,
        options: Mapping[str, Any],
    ) -> apigateway.Method:
        integration = apigateway.AwsIntegration(
            service=call.service,
            path=call.path,
            action=call.action,
            integration_http_method="POST",
            options=apigateway.IntegrationOptions(
                credentials_role=self.role,
                passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
                request_parameters=call.headers or None,
                request_templates={JSON: call.request},
                integration_responses=call.responses(),
            ),
        )
        return resource.add_method(
            http_method,
            integration,
            method_responses=[
                apigateway.MethodResponse(status_code=str(status)) for status in call.statuses
            ],
            **self._endpoint.authorization(),
            **options,
        )


def _check_own_api(api: apigateway.IRestApi, usage_plan: apigateway.UsagePlan | None) -> None:
    """Reject a usage plan for a stage that is not known; warn of what an imported API needs.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html

    Raises:
        ValueError: ``usage_plan`` next to an imported API: a plan names stages.
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


def _new_api(scope: Construct, new: NewApi) -> apigateway.RestApi:
    access_logs = logs.LogGroup(
        scope,
        "AccessLogs",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    api = apigateway.RestApi(
        scope,
        "Api",
        # Metrics are known by this name: another API of the account must not have it.
        rest_api_name=Names.unique_resource_name(scope, max_length=128),
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        cloud_watch_role=new.cloud_watch_role,
        deploy_options=apigateway.StageOptions(
            throttling_rate_limit=new.rate_limit,
            throttling_burst_limit=new.burst_limit,
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
        templates={JSON: REFUSED_BY_SCHEMA},
    )
    return api
