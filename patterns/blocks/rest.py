"""client → API Gateway → any AWS service, with no function between them."""

from __future__ import annotations

import functools
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import Annotations, Names, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct, IValidation

from ..checks import api_gateway as checks
from ..checks import reject
from .alarms import Alarms, Runbook
from .findings import acknowledge
from .stacks import beside, grantee_in, same_deployment, same_stack
from .values import Path, expect, expect_fields, is_token, number, seconds, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from constructs import IConstruct

JSON = "application/json"
_PART = r"([A-Za-z0-9:._$-]+|\{[A-Za-z0-9:._$-]+\+?\})"
PATH = rf"/?|/?{_PART}(/{_PART})*"
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
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
ERROR_RATE = 0.05
SERVER_ERRORS = Runbook(
    means=f"More than {100 * ERROR_RATE:.0f} % of the requests are answered with 5xx, so clients "
    "must send them again.",
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
        cors: The origins whose pages may call: every answer, errors too, has the headers that a
            browser asks for. The answers that API Gateway gives itself (400, 403, 415, 429, 5xx)
            name the first origin only. Default: no page may.

    Raises:
        ValueError: a limit that rejects every request.
    """

    rate_limit: float = 100
    burst_limit: int = 200
    cloud_watch_role: bool = False
    cors: apigateway.CorsOptions | None = None

    def __post_init__(self) -> None:
        """Reject throttling that rejects every request.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html

        Raises:
            ValueError: a rate of 0, or a burst below 1.
        """
        expect_fields(
            self,
            rate_limit=(int, float),
            burst_limit=(int,),
            cloud_watch_role=(bool,),
            cors=(apigateway.CorsOptions, None),
        )
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
        path: Resource under the API's root, such as ``orders`` or ``customers/{id}/orders``.
        api: Your own API, or the settings of a new one. What your own API sets for every method
            (authorizer, CORS) holds for this one too.
        schema: JSON schema of the body, checked before the service is called. Default: any JSON.
        authorizer: Cognito or Lambda authorizer. Default: the API's own, else IAM (signed
            requests).
        usage_plan: Requires an API key of this plan, in place of IAM; the API's stage joins it.
        content_types: What a body may be, such as ``text/plain``; anything else is answered with
            415. Default: JSON alone.

    Raises:
        ValueError: a path or a content type that API Gateway does not know, or a schema of what is
            not JSON.
    """

    path: str = "messages"
    api: apigateway.IRestApi | NewApi = NewApi()
    schema: apigateway.JsonSchema | None = None
    authorizer: apigateway.IAuthorizer | None = None
    usage_plan: apigateway.UsagePlan | None = None
    content_types: Sequence[str] = (JSON,)

    def __post_init__(self) -> None:
        """Reject what API Gateway does not take.

        Source: https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html

        Raises:
            ValueError: a path or a content type that it does not know, or a schema of what is not
                JSON.
        """
        expect_fields(
            self,
            path=(str,),
            api=("IRestApi", NewApi),
            schema=(apigateway.JsonSchema, None),
            authorizer=("IAuthorizer", None),
            usage_plan=(apigateway.UsagePlan, None),
            content_types=(list, tuple),
        )
        if not is_token(self.path) and not re.fullmatch(PATH, self.path):
            raise ValueError(
                f"path is {self.path!r}; it must be parts of letters, digits and : . _ - $, or "
                "{name} for a parameter, with / between them, such as customers/{id}/orders."
            )
        other = [kind for kind in self.content_types if kind != JSON]
        for kind in other if self.content_types else [""]:
            if not isinstance(kind, str) or not re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", kind):
                raise ValueError(
                    f"content_types has {kind!r}; each must be a media type in lower case, such as "
                    "text/plain, without parameters."
                )
        if self.schema and other:
            raise ValueError(
                f"schema was given, but content_types has {other[0]}, which no JSON schema checks. "
                "Leave one of them out."
            )

    def authorization(self, authorizer: apigateway.IAuthorizer | None) -> dict[str, Any]:
        """Return the options of a method: who may call it, with an authorizer or without one."""
        key_required = {"api_key_required": True} if self.usage_plan else {}
        if authorizer:
            return {"authorizer": authorizer, **key_required}
        kind = apigateway.AuthorizationType
        return {"authorization_type": kind.NONE if self.usage_plan else kind.IAM, **key_required}


@dataclass(frozen=True)
class RequestField:
    """A value of the request: a message group, a deduplication id, an attribute, a name.

    Make one with :meth:`body`, :meth:`header`, :meth:`path`, :meth:`query` or :meth:`context`.

    Attributes:
        name: Its name in the request.
        value: The value in a mapping template, not encoded yet.
        part: Of which part of the request it is.
    """

    name: str
    value: str
    part: str = ""

    @classmethod
    def body(cls, name: str) -> RequestField:
        """Take a field of the JSON body: ``order_id``, or ``order.id`` for a nested one.

        Raises:
            ValueError: the name is not made of letters, digits, ``_`` and dots.
        """
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name, re.ASCII):
            raise ValueError(f"body field {name!r}: use letters, digits and _, nested with dots.")
        return cls(name, f"$!input.path('$.{name}')", "body")

    @classmethod
    def header(cls, name: str) -> RequestField:
        """Take a request header, spelt like this or in lower case, and nothing else of its name.

        API Gateway looks headers up by their spelling, and HTTP/2 clients send lower case. By
        ``$input.params(name)`` the path or the query string would win over the header. Sources:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html,
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html

        Raises:
            ValueError: the name is not made of letters, digits and ``-``.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
            raise ValueError(f"header {name!r}: use letters, digits and -.")
        spellings = dict.fromkeys((name, name.lower()))
        found = "".join(f"$!input.params().header.get('{one}')" for one in spellings)
        return cls(name, f'"{found}"', "header")

    @classmethod
    def path(cls, name: str) -> RequestField:
        """Take a parameter of the path: ``name`` of ``orders/{name}``.

        Raises:
            ValueError: the name is not made of letters, digits and ``_``.
        """
        return cls(_word("path parameter", name), f"$!input.params('{name}')", "path")

    @classmethod
    def query(cls, name: str) -> RequestField:
        """Take a parameter of the query string.

        Raises:
            ValueError: the name is not made of letters, digits and ``_``.
        """
        value = f"$!input.params().querystring.get('{_word('query parameter', name)}')"
        return cls(name, value, "query")

    @classmethod
    def context(cls, name: str) -> RequestField:
        """Take what API Gateway knows of the request, such as who sent it.

        ``identity.userArn`` is who signed it (IAM), ``authorizer.claims.sub`` a claim (Cognito),
        ``authorizer.principalId`` or ``authorizer.<key>`` an answer of a Lambda authorizer. Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html

        Raises:
            ValueError: the name is not made of letters, digits, ``_``, ``:``, ``-`` and dots.
        """
        if not re.fullmatch(r"[A-Za-z]\w*(\.\w[\w:-]*)*", name, re.ASCII):
            raise ValueError(
                f"context variable {name!r}: use letters, digits, _, : and -, nested with dots."
            )
        words = name.split(".")
        value = "".join(f".{word}" if word.isidentifier() else f"['{word}']" for word in words)
        return cls(name, f"$!context{value}", "context")


def _word(what: str, name: str) -> str:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"{what} {name!r}: use letters, digits and _.")
    return name


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


class Cors:
    """The headers by which a browser lets a page of another origin read an answer.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html

    Args:
        options: What the API allows. Default: nothing, and no header.

    Attributes:
        headers: Name and value, as a mapping of API Gateway spells it.
        template: Names the caller's own origin, if there are several.
    """

    def __init__(self, options: apigateway.CorsOptions | None) -> None:
        origins = list(options.allow_origins) if options else []
        self.headers: dict[str, str] = {}
        if origins:
            self.headers["Access-Control-Allow-Origin"] = f"'{origins[0]}'"
        if origins and origins[0] != "*":
            self.headers["Vary"] = "'Origin'"
        if options and options.allow_credentials:
            self.headers["Access-Control-Allow-Credentials"] = "'true'"
        if options and options.expose_headers:
            self.headers["Access-Control-Expose-Headers"] = f"'{','.join(options.expose_headers)}'"
        either = " || ".join(f'$origin == "{origin}"' for origin in origins)
        found = "".join(f"$!input.params().header.get('{one}')" for one in ("Origin", "origin"))
        header = "$context.responseOverride.header.Access-Control-Allow-Origin"
        self.template = (
            f'#set($origin = "{found}")#if({either})#set({header} = $origin)#end'
            if len(origins) > 1
            else ""
        )

    @property
    def of_method(self) -> dict[str, str]:
        """The headers as those of a method's answer."""
        return {f"method.response.header.{name}": value for name, value in self.headers.items()}


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
        role: What API Gateway may do for these methods.
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
                    threshold=ERROR_RATE,
                    evaluation_periods=3,
                )
            )
            self.api: apigateway.IRestApi = api
            self._scope: Construct = self
        else:
            _check_own_api(endpoint.api)
            self.api = endpoint.api
            self._scope = beside(self, self.api)
        _keep_text(self.api, endpoint.content_types)
        self.role = iam.Role(
            self._scope, "Role", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com")
        )
        self._methods: list[apigateway.Method] = []
        with _in_own_words(lambda: f"The API {Path(self.api)} has no resource {endpoint.path!r}"):
            self._resource = self.api.root.resource_for_path(endpoint.path)
        self._authorizer = endpoint.authorizer
        if isinstance(endpoint.api, NewApi):
            self._cors = Cors(endpoint.api.cors)
        else:
            self._cors = Cors(self._resource.default_cors_preflight_options)
            defaults = self._resource.default_method_options or apigateway.MethodOptions()
            self._authorizer = endpoint.authorizer or defaults.authorizer
            if self._cors.headers:
                _warn_of_cors(self.api)
        if endpoint.authorizer:
            _check_authorizer(endpoint.authorizer, self.api)
        if endpoint.usage_plan:
            endpoint.usage_plan.add_api_stage(stage=self._stage("usage_plan"))

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
            ValueError: the methods do not look at signatures, or ``grantee`` has no policy.
        """
        if self._authorizer or self._endpoint.usage_plan:
            raise ValueError(
                f"{self.node.path} does not authorize by IAM, so a permission lets nobody in. "
                "Leave grant_execute out: the authorizer or the API key decides."
            )
        principal = grantee.grant_principal
        if self._scope is not self and isinstance(principal, iam.Role):
            # The API's stack needs this one, so no policy of this one can name the API.
            here = same_stack(principal, self)
            grantee = grantee_in(self._scope, grantee, self.api) if here else grantee
        first, *others = [method.grant_execute(grantee) for method in self._methods]
        if not first.success:
            raise ValueError(
                f"{grantee.grant_principal} has no policy of this app, so it cannot be granted "
                "the permission. Give a role or a user."
            )
        return functools.reduce(lambda one, other: one.combine(other), others, first)

    def add_post(self, call: ServiceCall) -> apigateway.Method:
        """Answer POST with a call of a service, once the body has passed the schema."""
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
        check_fields(call.fields, self._endpoint, authorized=self._authorizer is not None)
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
        with _in_own_words(
            lambda: f"The API {Path(self.api)} takes no {http_method} of {resource.path}"
        ):
            method = resource.add_method(
                http_method,
                integration,
                method_responses=[
                    apigateway.MethodResponse(
                        status_code=str(status),
                        response_parameters=dict.fromkeys(self._cors.of_method, True) or None,
                    )
                    for status in call.statuses
                ],
                **self._endpoint.authorization(self._authorizer),
                **options,
            )
        self._methods.append(method)
        return method


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


def check_fields(fields: Sequence[RequestField], endpoint: Endpoint, *, authorized: bool) -> None:
    """Reject a value that no request of this endpoint has.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html

    Args:
        fields: The values.
        endpoint: Where requests come in.
        authorized: Whether an authorizer lets them in.

    Raises:
        ValueError: a parameter that the path does not have, a field of a body that is not JSON, or
            the identity of a caller who need not have one.
    """
    for one in fields:
        if one.part == "path" and f"{{{one.name}}}" not in endpoint.path:
            raise ValueError(
                f"RequestField.path({one.name!r}) was given, but path is {endpoint.path!r}. Name "
                f"the parameter there, such as {endpoint.path}/{{{one.name}}}."
            )
        if one.part == "body" and set(endpoint.content_types) != {JSON}:
            raise ValueError(
                f"RequestField.body({one.name!r}) was given, but content_types has what is not "
                "JSON and has no fields. Take the value from a header, the path or the query."
            )
        kind = one.name.split(".")[0] if one.part == "context" else ""
        signed = not authorized and not endpoint.usage_plan
        if (kind == "authorizer" and not authorized) or (
            re.match(r"identity\.(user|caller|principalOrgId)", one.name) and not signed
        ):
            raise ValueError(
                f"RequestField.context({one.name!r}) was given, but "
                f"{'requests are signed' if signed else 'nobody signs requests'}: it would be "
                "empty, and every request rejected. Use identity.userArn for signed requests, and "
                "authorizer.… with an authorizer."
            )


@jsii.implements(IValidation)
class _TextStaysText:
    """Looks at synthesis again at what an API treats as binary, which may be set later."""

    def __init__(self, api: apigateway.CfnRestApi, content_types: Sequence[str]) -> None:
        self._api, self._content_types = api, content_types

    def validate(self) -> list[str]:
        """Return the problem, if there is one."""
        binary = self._api.binary_media_types
        if not binary:
            return []
        path = Path(self._api.node.scope, "The API ")  # type: ignore[arg-type]
        problem = checks.text_as_binary(path, binary, self._content_types)
        return [problem] if problem else []


def _keep_text(api: apigateway.IRestApi, content_types: Sequence[str]) -> None:
    """Reject an API to which bodies of these types are binary, now or at synthesis.

    Raises:
        ValueError: it is so now.
    """
    resource = api.node.default_child
    if isinstance(resource, apigateway.CfnRestApi):
        validation = _TextStaysText(resource, content_types)
        reject(*validation.validate())
        api.node.add_validation(validation)


def check_circle(scope: Construct, endpoint: Endpoint, **given: IConstruct | None) -> None:
    """Reject what makes the stack of your own API and that of the construct need each other.

    The API's stack needs this one, for what the method calls. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html

    Args:
        scope: Where the construct is made.
        endpoint: With the API.
        given: What else the construct needs, by the arguments' names.

    Raises:
        ValueError: one of them is in the API's stack, and the construct in another one.
    """
    api = endpoint.api
    if isinstance(api, NewApi) or api.node.default_child is None or same_deployment(scope, api):
        return
    for name, one in given.items():
        if one is not None and one.node.default_child and same_deployment(one, api):
            raise ValueError(
                f"{name} has {Path(one)}, which is in the stack of {Path(api)}. That stack needs "
                "this one, for what the API calls, so this one cannot need it. Make this construct "
                "in the stack of the API, or the other in this stack."
            )


def _check_authorizer(authorizer: Any, api: apigateway.IRestApi) -> None:
    """Reject an authorizer of another stack than its API's.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html

    Raises:
        ValueError: the two stacks would need each other.
    """
    stack = stack_of(api).node.path
    if not f"{authorizer.node.path}/".startswith(f"{stack}/"):
        raise ValueError(
            f"authorizer {Path(authorizer)} is in another stack than the API {Path(api)}, which it "
            f"belongs to: each would need the other. Make the authorizer in {stack}."
        )


def _warn_of_cors(api: apigateway.IRestApi) -> None:
    """Warn of the answers of an API that have no headers of CORS.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
    """
    if not any(isinstance(one, apigateway.GatewayResponse) for one in api.node.children):
        Annotations.of(api).add_warning_v2(
            "serverless-patterns:cors-of-gateway-responses",
            "This API allows pages of other origins, but a browser hides the answers that API "
            "Gateway gives itself (400, 403, 415, 429, 5xx) from them: add gateway responses for "
            "DEFAULT_4XX and DEFAULT_5XX with the header Access-Control-Allow-Origin.",
        )


def _check_own_api(api: apigateway.IRestApi) -> None:
    """Reject an API of an OpenAPI document; warn of what an imported API needs.

    Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-restapi.html

    Raises:
        ValueError: an API whose document replaces the methods that are made beside it.
    """
    if isinstance(api, apigateway.RestApi):
        return
    if isinstance(api, apigateway.SpecRestApi):
        raise ValueError(
            f"The API {api.node.path} is made of an OpenAPI document: whenever that changes, API "
            "Gateway removes the methods that are not in it. Use a RestApi, or leave api out."
        )
    Annotations.of(api).add_warning_v2(
        "serverless-patterns:imported-api",
        "This API is imported, so its stages cannot be deployed or checked here: a new method "
        "answers only once the API is deployed again, and the API needs throttling, access logs "
        "and an alarm on 5XXError of its own.",
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
        default_cors_preflight_options=new.cors,
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
    kind, headers = apigateway.ResponseType, Cors(new.cors).headers or None
    apigateway.GatewayResponse(
        scope,
        "RefusedRequest",
        rest_api=api,
        type=kind.BAD_REQUEST_BODY,
        response_headers=headers,
        templates={JSON: REFUSED_BY_SCHEMA},
    )
    for name, others in (("OtherRefusals", kind.DEFAULT_4_XX), ("Failures", kind.DEFAULT_5_XX)):
        if headers:
            apigateway.GatewayResponse(
                scope, name, rest_api=api, type=others, response_headers=headers
            )
    return api
