"""A new REST API with its logs, and what is asked of an API of yours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import Annotations, Names, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import IValidation

from ..checks import api_gateway as checks
from ..checks import reject
from ..limits import API_NAME
from .endpoints import JSON, Endpoint, NewApi
from .findings import acknowledge
from .stacks import apart, check_order
from .values import Path, child_of, expect, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from constructs import Construct, IConstruct

# One line a request, with what finds a failure and nothing that names a person. Only the client
# gets an error's message: the validator's quotes the body, IAM's the caller's token.
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
    "traceId": "$context.xrayTraceId",
}
REFUSED_BY_SCHEMA = (
    '{"message": $context.error.messageString, '
    '"reason": "$context.error.validationErrorString", "requestId": "$context.requestId"}'
)


class Cors:
    """The headers by which a browser lets a page of another origin read an answer.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html

    Args:
        options: What the API allows. Default: nothing, and no header.

    Attributes:
        headers: Name and value, as a mapping of API Gateway spells it.
        origins: Whose pages may read the answers.
        template: Names the caller's own origin, if there are several.
    """

    def __init__(self, options: apigateway.CorsOptions | None) -> None:
        self.origins = origins = list(options.allow_origins) if options else []
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


def new_api(scope: Construct, new: NewApi) -> apigateway.RestApi:
    """Make a Regional REST API that logs every request, traces and throttles."""
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
        rest_api_name=Names.unique_resource_name(scope, max_length=API_NAME),
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
    if headers:
        for name, others in (("Refusals", kind.DEFAULT_4_XX), ("Failures", kind.DEFAULT_5_XX)):
            apigateway.GatewayResponse(
                scope, name, rest_api=api, type=others, response_headers=headers
            )
    return api


def check_uncached(endpoint: Endpoint) -> None:
    """Reject a stage that caches what GET below a path answers, which depends on who asks.

    The cache's key has neither the path's parameter nor the signature, and headers in it are as the
    client spells them. Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-caching.html

    Raises:
        ValueError: a stage of an API of this app does.
    """
    if isinstance(endpoint.api, NewApi):
        return
    path = f"/{endpoint.path.strip('/')}/{{id}}"
    order = (("/" + path.replace("/", "~1"), "GET"), ("/*", "GET"), ("/*", "*"))
    for stage in endpoint.api.node.find_all():
        if isinstance(stage, apigateway.CfnStage):
            each = stack_of(stage).resolve(stage.method_settings) or ()
            said = {(it["resourcePath"], it["httpMethod"]): it.get("cachingEnabled") for it in each}
            if next((said[it] for it in order if said.get(it) is not None), False):
                raise ValueError(
                    f"{Path(stage)} caches GET, and its cache does not know who asks: a client "
                    "could get another client's answer. Set caching_enabled=False for "
                    f"{path}/GET in the method_options of the stage."
                )


def check_own_api(api: apigateway.IRestApi) -> None:
    """Reject an API of an OpenAPI document; warn of what an imported API needs.

    Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigateway-restapi.html

    Raises:
        ValueError: an API whose document replaces the methods that are made beside it.
    """
    if isinstance(api, apigateway.RestApi):
        if api.latest_deployment is None:
            Annotations.of(api).add_warning_v2(
                "serverless-patterns:undeployed-api",
                "This API has deploy=False, so what is added answers only once you deploy it.",
            )
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
        "and an alarm on 5XXError of its own, and must not list JSON or */* as binary.",
    )


def check_circle(
    scope: Construct,
    endpoint: Endpoint,
    given: Mapping[str, Any],
    called: IConstruct | None = None,
) -> None:
    """Reject what makes the stack of your own API and that of the construct need each other.

    The API's stack needs this one, for what the method calls. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html

    Args:
        scope: Where the construct is made.
        endpoint: With the API.
        given: What else the construct needs, by its name: resources, settings with them, or None.
        called: Your own resource that the API calls. Default: one that the construct makes.

    Raises:
        ValueError: one of them is in the API's stack, and the construct in another one; a usage
            plan is beside that; or the stack of what is called needs the API's for something else.
    """
    expect("endpoint", endpoint, Endpoint)
    api = endpoint.api
    if isinstance(api, NewApi) or child_of(api) is None or not apart(scope, api):
        return
    plan = endpoint.usage_plan
    if plan and not apart(scope, plan):
        raise ValueError(
            f"usage_plan {Path(plan)} needs the stage of {Path(api)}, whose stack needs this one, "
            "for what the API calls. Make the usage plan in the stack of the API."
        )
    for name, one in _named(given):
        if child_of(one) and not apart(one, api):
            raise ValueError(
                f"{name} {Path(one)} is in the stack of {Path(api)}. That stack needs "
                "this one, for what the API calls, so this one cannot need it. Make this construct "
                "in the stack of the API, or the other in this stack."
            )
    check_order(api, Path(called or scope, "What the API calls, "), called or scope)


def _named(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every resource that was given, or that settings have, with its name.

    Your own state machine is called by the API alone.
    """
    for name, one in given.items():
        if hasattr(type(one), "state_machine_arn"):
            continue
        if hasattr(one, "node"):
            yield name, one
            continue
        parts = {part: getattr(one, part, None) for part in ("parked_queue", "encryption_key")}
        yield from ((part, found) for part, found in parts.items() if found is not None)
        yield from (("The topic of alarms", topic) for topic in getattr(one, "topics", ()))


def check_authorizer(authorizer: Any, api: apigateway.IRestApi) -> None:
    """Reject an authorizer of another stack than its API's.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html

    Raises:
        ValueError: the two stacks would need each other.
    """
    stack, node = stack_of(api).node.path, getattr(authorizer, "node", None)
    if node and not node.path.startswith(f"{stack}/"):
        raise ValueError(
            f"authorizer {Path(authorizer)} is in another stack than the API {Path(api)}, which it "
            f"belongs to: each would need the other. Make the authorizer in {stack}."
        )


def warn_of_cors(api: apigateway.IRestApi, resource: apigateway.IResource, cors: Cors) -> None:
    """Warn of the answers of your own API that have no headers of CORS, but should.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
    """
    if not cors.headers:
        if resource.node.try_find_child("OPTIONS"):
            Annotations.of(api).add_warning_v2(
                "serverless-patterns:cors-of-answers",
                f"{Path(resource)} answers OPTIONS, but the headers of CORS for other answers are "
                "not known: set default_cors_preflight_options where the API or the resource is "
                "made, in place of add_cors_preflight().",
            )
    elif not any(isinstance(one, apigateway.GatewayResponse) for one in api.node.children):
        Annotations.of(api).add_warning_v2(
            "serverless-patterns:cors-of-gateway-responses",
            "This API allows pages of other origins, but a browser hides the answers that API "
            "Gateway gives itself (400, 403, 415, 429, 5xx) from them: add gateway responses for "
            "DEFAULT_4XX and DEFAULT_5XX with the header Access-Control-Allow-Origin.",
        )


def keep_text(api: apigateway.IRestApi, content_types: Sequence[str]) -> None:
    """Reject an API to which bodies of these types are binary, now or at synthesis.

    Raises:
        ValueError: it is so now.
    """
    resource = child_of(api)
    if isinstance(resource, apigateway.CfnRestApi):
        validation = _TextStaysText(resource, content_types)
        reject(*validation.validate())
        api.node.add_validation(validation)


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
