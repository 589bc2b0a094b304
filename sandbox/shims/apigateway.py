"""API Gateway: what its requests and SQS's answers say, and request validators."""

from __future__ import annotations

import json
import re
import time
from contextvars import ContextVar
from typing import Any
from xml.etree import ElementTree

from ._forward import afterwards, around, is_true, ministack, resources, succeeded

GAPS = {
    "api-gateway-access-logs": "A stage's access log settings are ignored: no line is written.",
    "api-gateway-http-cors": "The CORS settings of an HTTP API in a template are ignored.",
    "api-gateway-http-jwt": "An HTTP API accepts no token of a user pool where the server has TLS.",
    "api-gateway-mapping-context": "In a mapping template, $context has nothing but authorizer, "
    "and $input.params() does not tell headers from the query string.",
    "api-gateway-request-validation": "A request validator in a template is ignored: a body that "
    "breaks the model reaches the integration.",
    "api-gateway-sqs-errors": "An SQS error reaches the response template as XML; its successes "
    "are JSON.",
    "api-gateway-step-functions": "An API's calls of Step Functions are answered with 504.",
}
GATEWAY = "services.apigateway_v1"


def mapping_context() -> None:
    """Forward what a request knows of itself to its request and response templates.

    Under the names that API Gateway documents ("Variables for data transformations"). The
    ``requestId`` is the one that the client gets as ``x-amzn-requestid``.
    """
    gateway = ministack(GATEWAY)
    request_id: ContextVar[str] = ContextVar("request_id", default="")
    known: ContextVar[dict[str, Any]] = ContextVar("known", default={})  # noqa: B039 - never changed
    parts: ContextVar[dict[str, Any]] = ContextVar("parts", default={})  # noqa: B039 - never changed

    @around(gateway, "_execute_in_scope")
    async def execute(original: Any, request: dict[str, Any], *args: Any, **named: Any) -> Any:
        request_id.set(request["request_id"])
        answer = await original(request, *args, **named)
        if isinstance(answer, tuple):
            answer[1].setdefault("x-amzn-requestid", request["request_id"])
        return answer

    @around(gateway, "_invoke_sqs_v1")
    async def invoke(original: Any, integration: Any, *args: Any, **named: Any) -> Any:
        known.set(_context(request_id.get(), *args))
        headers, _body, query, path = args[6:10]
        first = {name: found[0] for name, found in (query or {}).items() if found}
        parts.set({"header": headers, "querystring": first, "path": path or {}})
        return await original(integration, *args, **named)

    @around(gateway, "_render_request_template_v1")
    def render(original: Any, template: str, body: str, params: Any, context: Any = None) -> Any:
        params = {**params, **parts.get()}
        return original(template, body, params, {**known.get(), **(context or {})})


def _context(
    request_id: str, api_id: str, stage_name: str, _stage: Any, resource: dict[str, Any],
    path: str, method: str, headers: dict[str, Any], *_: Any,
) -> dict[str, Any]:  # fmt: skip
    now = time.time()
    context = {
        "accountId": ministack("core.responses").get_account_id(),
        "apiId": api_id,
        "extendedRequestId": request_id,
        "httpMethod": method,
        # The server listens on no other interface.
        "identity": {"sourceIp": "127.0.0.1", "userAgent": headers.get("user-agent", "")},
        "path": f"/{stage_name}{path}",
        "protocol": "HTTP/1.1",
        "requestId": request_id,
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "resourceId": resource["id"],
        "resourcePath": resource["path"],
        "stage": stage_name,
    }
    if trace := re.search(r"Root=([^;]+)", headers.get("x-amzn-trace-id", "")):
        context["xrayTraceId"] = trace[1]
    return context


def sqs_errors() -> None:
    """Forward code, message, type and request id of an SQS error in the JSON form of SQS.

    That is the form in which API Gateway asks SQS for its answer.
    """

    @around(ministack(GATEWAY), "_service_integration_response")
    def respond(
        original: Any, integration: Any, status: int, text: str, *args: Any, **named: Any
    ) -> Any:
        if status >= 400 and text.startswith("<?xml"):
            answer = ElementTree.fromstring(text)  # noqa: S314 - SQS of this process wrote it
            names = ("Code", "Message", "Type")
            error = {name: answer.findtext(f"{{*}}Error/{{*}}{name}") for name in names}
            text = json.dumps({"Error": error, "RequestId": answer.findtext("{*}RequestId")})
        return original(integration, status, text, *args, **named)


def request_validation() -> None:
    """Forward a validator, and its use by a method, to API Gateway's own control plane."""
    gateway = ministack(GATEWAY)

    @afterwards("AWS::ApiGateway::Method")
    def use(_id: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        path, value = "/requestValidatorId", properties.get("RequestValidatorId")
        patch = {"patchOperations": [{"op": "replace", "path": path, "value": value}]}
        method = (properties[name] for name in ("RestApiId", "ResourceId", "HttpMethod"))
        gateway._update_method(*method, patch)

    def create(_id: str, properties: dict[str, Any], _stack: str) -> Any:
        settings = {
            "name": properties.get("Name", ""),
            "validateRequestBody": is_true(properties.get("ValidateRequestBody")),
            "validateRequestParameters": is_true(properties.get("ValidateRequestParameters")),
        }
        answer = gateway._create_request_validator(properties["RestApiId"], settings)
        validator = json.loads(succeeded("AWS::ApiGateway::RequestValidator", answer))["id"]
        return validator, {"RequestValidatorId": validator}

    # A changed one is replaced: CloudFormation then updates the methods that name it.
    resources()["AWS::ApiGateway::RequestValidator"].update(
        create=create, update=lambda id_, _old, new, stack: create(id_, new, stack)
    )


def http_cors() -> None:
    """Forward an HTTP API's CORS settings to its control plane, under the names of its API."""
    gateway = ministack("services.apigateway")

    @afterwards("AWS::ApiGatewayV2::Api")
    def configure(api: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        if settings := properties.get("CorsConfiguration"):
            own = {name[0].lower() + name[1:]: value for name, value in settings.items()}
            answer = gateway._update_api(api, {"corsConfiguration": own})
            succeeded("AWS::ApiGatewayV2::Api CorsConfiguration", answer)


def http_jwt() -> None:
    """Forward an authorizer to the keys of a user pool where they are, by HTTPS."""

    @around(ministack("services.apigateway"), "_resolve_jwks_url")
    async def resolve(original: Any, authorizer: dict[str, Any]) -> Any:
        url = await original(authorizer)
        return url and url.replace("http://localhost:", "https://localhost:", 1)


SHIMS = {
    "api-gateway-http-cors": http_cors,
    "api-gateway-http-jwt": http_jwt,
    "api-gateway-mapping-context": mapping_context,
    "api-gateway-request-validation": request_validation,
    "api-gateway-sqs-errors": sqs_errors,
}
