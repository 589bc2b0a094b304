"""client → API Gateway → any AWS service, with no function between them."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from .alarms import Alarms, Runbook
from .apis import Cors, check_authorizer, check_own_api, keep_text, new_api, warn_of_cors
from .endpoints import JSON, Endpoint, NewApi, RequestField, check_fields
from .grants import check_grantee, service_principal, warn_of_fixed
from .places import check_environment
from .stacks import beside, grantee_in, same_stack
from .values import Path, child_of, expect, made_in, seconds, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_

REQUEST_ID = '"requestId": "$context.requestId"'
_FAILED = f'{{"message": "The request was not accepted. Send it again.", {REQUEST_ID}}}'
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
ERROR_RATE = 0.05
SERVER_ERRORS = Runbook(
    means=f"More than {100 * ERROR_RATE:.0f} % of the requests are answered with 5xx, so clients "
    "must send them again.",
    see="Read errorType, status and integrationStatus in the API's access log.",
    fix="Fix what they name: most often the API's role, the key of what it calls, or a quota.",
    verify="A request of yours is accepted, and 5XXError falls.",
)


@dataclass(frozen=True)
class ServiceCall:
    """A call of an AWS service by API Gateway, and what its answer becomes for the client.

    The client gets ``status`` only for the service's own 200. An error that the client can fix is a
    4xx with its reason, any other one a 503: send it again. An answer that is neither is a 502.

    Attributes:
        service: The service's name in an integration's URI, such as ``sqs``.
        request: Mapping template of the call; every value that a client can influence is encoded.
        fields: The values of the request that it uses.
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
    fields: tuple[RequestField, ...] = ()

    @property
    def statuses(self) -> list[int]:
        """Every status that the client may get."""
        return sorted({self.status, *self.client_faults.values(), *self.overrides, 422, 502, 503})

    def responses(self, cors: Cors) -> list[apigateway.IntegrationResponse]:
        """Return the answers; the one without a pattern is a 502. All have the headers of CORS.

        API Gateway uses the response without a selection pattern for every status that no pattern
        matches, so a 2xx there would hide failures. Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
        """
        return [
            apigateway.IntegrationResponse(
                status_code=str(status),
                selection_pattern=pattern,
                response_parameters=cors.of_method or None,
                response_templates={JSON: cors.template + template},
            )
            for status, pattern, template in (
                (self.status, "200", self.answer),
                (422, "400", self._refusal()),
                (502, None, _FAILED),
            )
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


def escaped(value: str, *, quiet: bool = False) -> str:
    """Return a value of a mapping template, escaped for the inside of a JSON string.

    With ``quiet`` a missing value prints nothing, outside of ``#set``.

    ``escapeJavaScript`` also escapes ', which JSON does not know. Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    return f'${"!" * quiet}util.escapeJavaScript({value}).replaceAll("\\\\\'", "\'")'


class RestEntry(Construct):
    """client → API Gateway → an AWS service

    The client sees 400 for a body that breaks the schema; 403 unsigned; 415 for a body of another
    content type; 429 throttled; the rest is the answer to its ``ServiceCall``.

    The methods are made in the API's own stack, which then needs this one.

    Args:
        endpoint: Where clients send their requests, and who may.
        alarms: What the alarm of a new API does.

    Attributes:
        api: The API.
        alarms: On 5xx answers of a new API; none for your own.

    Raises:
        ValueError: an API that the methods cannot be added to, or a usage plan for an API whose
            stage is not known.
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
        made_in(scope, self)
        self._endpoint, given = endpoint, endpoint.api
        self._methods: list[apigateway.Method] = []
        self.alarms: list[cloudwatch.Alarm] = []
        self.api = self._new(given, alarms) if isinstance(given, NewApi) else self._own(given)
        self._scope = self if isinstance(given, NewApi) else beside(self, given)
        keep_text(self.api, endpoint.content_types)
        with _in_own_words(lambda: f"The API {Path(self.api)} has no resource {endpoint.path!r}"):
            self._resource = self.api.root.resource_for_path(endpoint.path)
        self._authorizer, self._keyed = endpoint.authorizer, endpoint.usage_plan is not None
        self._cors = Cors(given.cors) if isinstance(given, NewApi) else self._inherited()
        if endpoint.authorizer:
            check_authorizer(endpoint.authorizer, self.api)
        if endpoint.usage_plan:
            self._join(endpoint.usage_plan)

    def _new(self, settings: NewApi, alarms: Alarms) -> apigateway.IRestApi:
        """Make an API with its alarm."""
        api = new_api(self, settings)
        alarm = alarms.above(
            self,
            "ServerErrorAlarm",
            api.metric_server_error(period=seconds(60), statistic="Average"),
            SERVER_ERRORS,
            threshold=ERROR_RATE,
            evaluation_periods=3,
        )
        self.alarms.append(alarm)
        return api

    def _own(self, api: apigateway.IRestApi) -> apigateway.IRestApi:
        """Check your own API, whose alarms are yours."""
        check_own_api(api)
        check_environment(self, Path(api, "The API "), api, needed=False)
        return api

    def _inherited(self) -> Cors:
        """Take over what your own API says of all its methods."""
        cors = Cors(self._resource.default_cors_preflight_options)
        defaults = self._resource.default_method_options or apigateway.MethodOptions()
        self._authorizer = self._authorizer or defaults.authorizer
        self._keyed = self._keyed or bool(defaults.api_key_required)
        warn_of_cors(self.api, self._resource, cors)
        return cors

    def _join(self, plan: apigateway.UsagePlan) -> None:
        """Add the stage to a usage plan; its key may be all that a client needs."""
        _join(plan, self._stage("usage_plan"))
        if not self._authorizer:
            _warn_of_key_alone(self)

    @functools.cached_property
    def role(self) -> iam.Role:
        """What API Gateway may do for these methods; functions that answer need none."""
        principal = service_principal("apigateway.amazonaws.com")
        return iam.Role(self._scope, "Role", assumed_by=principal)

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may read the answers; a function has to say so in its own."""
        return self._cors.origins

    @property
    def url(self) -> str:
        """Where clients send their requests.

        Raises:
            ValueError: the API's stage is not known here.
        """
        return self._stage("url").url_for_path(self._resource.path)

    def _stage(self, name: str) -> apigateway.Stage:
        stage = None
        if isinstance(self.api, apigateway.RestApi):
            with _in_own_words(lambda: f"{name} needs the stage of {Path(self.api)}"):
                stage = self.api.deployment_stage
        if stage is None:
            raise ValueError(
                f"{name} needs the stage of {Path(self.api)}, an imported API, whose stages are "
                "not known here. Use the stage where the API is made, with its url_for_path()."
            )
        return stage

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` call the methods, with requests that it signs.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html

        Raises:
            ValueError: the methods do not look at signatures, or ``grantee`` cannot be granted it.
        """
        if self._authorizer or self._endpoint.usage_plan:
            raise ValueError(
                f"{self.node.path} does not authorize by IAM, so a permission lets nobody in. "
                "Leave grant_execute out: the authorizer or the API key decides."
            )
        check_grantee(self, grantee)
        principal = grantee.grant_principal
        if self._scope is not self and isinstance(principal, iam.Role):
            # The API's stack needs this one, so no policy of this one can name the API.
            here = same_stack(principal, self)
            grantee = grantee_in(self._scope, grantee, self.api) if here else grantee
        first, *others = [method.grant_execute(grantee) for method in self._methods]
        warn_of_fixed(grantee, Path(self.api, "execute-api:Invoke on "))
        return functools.reduce(lambda one, other: one.combine(other), others, first)

    def add_post(self, call: ServiceCall) -> apigateway.Method:
        """Answer POST with a call of a service, once the body has passed the schema."""
        return self._add(self._resource, "POST", call, self._validated())

    def _validated(self) -> dict[str, Any]:
        """Return the options of a method whose body has to pass the schema."""
        schema = self._endpoint.schema
        options: dict[str, Any] = {
            "request_validator": apigateway.RequestValidator(
                self._scope,
                "Validator",
                rest_api=self.api,
                validate_request_body=True,
                validate_request_parameters=True,
            )
        }
        if schema:
            model = apigateway.Model(
                self._scope, "Schema", rest_api=self.api, content_type=JSON, schema=schema
            )
            options["request_models"] = {JSON: model}
        return options

    def add_get(self, below: str, call: ServiceCall) -> apigateway.Method:
        """Answer GET of a resource below the path, such as ``{name}``, with a call of a service."""
        return self._add(self._resource.add_resource(below), "GET", call, {})

    def add_function(
        self, http_method: str, function: lambda_.IFunction, below: str | None = None
    ) -> apigateway.Method:
        """Answer a method with what a function says: of the path, or of a resource below it.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
        """
        resource = self._resource.add_resource(below) if below else self._resource
        # No permission for the console's test, which nobody has asked for.
        integration = apigateway.LambdaIntegration(function, allow_test_invoke=False)
        options = self._validated() if http_method == "POST" else {}
        return self._method(resource, http_method, integration, options)

    def _add(
        self,
        resource: apigateway.IResource,
        http_method: str,
        call: ServiceCall,
        options: Mapping[str, Any],
    ) -> apigateway.Method:
        authorized = self._authorizer is not None
        check_fields(call.fields, self._endpoint, authorized=authorized, keyed=self._keyed)
        integration = apigateway.AwsIntegration(
            service=call.service,
            path=call.path,
            action=call.action,
            integration_http_method="POST",
            options=apigateway.IntegrationOptions(
                credentials_role=self.role,
                passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
                request_parameters=call.headers or None,
                request_templates=dict.fromkeys(self._endpoint.content_types, call.request),
                integration_responses=call.responses(self._cors),
            ),
        )
        responses = [
            apigateway.MethodResponse(
                status_code=str(status),
                response_parameters=dict.fromkeys(self._cors.of_method, True) or None,
            )
            for status in call.statuses
        ]
        answers = {**options, "method_responses": responses}
        return self._method(resource, http_method, integration, answers)

    def _method(
        self,
        resource: apigateway.IResource,
        http_method: str,
        integration: apigateway.Integration,
        options: Mapping[str, Any],
    ) -> apigateway.Method:
        with _in_own_words(
            lambda: f"The API {Path(self.api)} takes no {http_method} of {resource.path}"
        ):
            method = resource.add_method(
                http_method,
                integration,
                **self._endpoint.authorization(self._authorizer),
                **options,
            )
        self._methods.append(method)
        return method


def _join(plan: apigateway.UsagePlan, stage: apigateway.Stage) -> None:
    """Add a stage to a usage plan that does not have it: API Gateway takes each once."""
    resource: Any = child_of(plan)
    resolve = stack_of(plan).resolve
    joined = resolve(resource.api_stages) or ()
    if all(one["stage"] != resolve(stage.stage_name) for one in joined):
        plan.add_api_stage(stage=stage)


@contextmanager
def _in_own_words(problem: Callable[[], str]) -> Iterator[None]:
    """Say what the CDK rejects as one that rejects an argument does, if it does.

    Raises:
        ValueError: the CDK rejects it.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"{problem()}: {reason}. Change the endpoint, or its API.") from error


def _warn_of_key_alone(entry: RestEntry) -> None:
    """Warn that an API key is the only lock.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    """
    Annotations.of(entry).add_warning_v2(
        "serverless-patterns:api-key-alone",
        "An API key is all that a client needs: it counts requests and says nothing of who sends "
        "them. Give an authorizer, too, unless the key is for counting only.",
    )
