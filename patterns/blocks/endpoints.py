"""Where clients send their requests, who may, and which values of a request a call uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_apigateway as apigateway

from .values import expect_fields, is_token, number

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = "application/json"
_NAME = r"[A-Za-z0-9:._$-]+"
_PART = rf"({_NAME}|\{{{_NAME}\}})"
# What API Gateway knows of a request that is signed.
_SIGNER = r"identity\.(user|userArn|caller|accountId|accessKey|principalOrgId|cognito\w+)"
# What a client need not send an API key for is empty.
_KEY = r"identity\.apiKey(Id)?"
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
_CONTEXT = (
    r"(accountId|apiId|authorizer\..+|awsEndpointRequestId|deploymentId|domainName|domainPrefix"
    r"|extendedRequestId|httpMethod|isCanaryRequest|path|protocol|requestId|requestTime"
    r"|requestTimeEpoch|resourceId|resourcePath|stage|wafResponseCode|webaclArn|xrayTraceId"
    rf"|{_SIGNER}|{_KEY}|identity\.(sourceIp|userAgent|vpcId|vpceId|clientCert\..+))"
)
_PATH = rf"/?|/?({_PART}/)*({_PART}|\{{{_NAME}\+\}})"


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
        ValueError: a limit that rejects every request, or no origin, or * beside others.
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
            ValueError: a rate of 0, a burst below 1, or origins that browsers reject.
        """
        expect_fields(
            self,
            rate_limit=(int, float),
            burst_limit=(int,),
            cloud_watch_role=(bool,),
            cors=(apigateway.CorsOptions, None),
        )
        _check_cors(self.cors)
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


def _check_cors(cors: apigateway.CorsOptions | None) -> None:
    """Reject origins that browsers reject.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html

    Raises:
        ValueError: no origin, * beside others, or credentials for *.
    """
    if cors is None:
        return
    origins = list(cors.allow_origins)
    if not origins or ("*" in origins and len(origins) > 1):
        raise ValueError(
            f"cors has the origins {origins}; it must have one or more, or * alone. Name the "
            "origins of your pages."
        )
    if cors.allow_credentials and origins == ["*"]:
        raise ValueError(
            "cors allows credentials for *, which browsers reject. Name the origins of your "
            "pages, or leave allow_credentials out."
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
        if not is_token(self.path) and not re.fullmatch(_PATH, self.path):
            raise ValueError(
                f"path is {self.path!r}; it must be parts of letters, digits and : . _ - $, or "
                "{name} for a parameter, with / between them, such as customers/{id}/orders. "
                "{name+}, for all that follows, must be the last."
            )
        parameters = re.findall(r"\{([^+}]+)", self.path)
        if len(parameters) > len(set(parameters)):
            raise ValueError(
                f"path is {self.path!r}, with two parameters of one name. Give each its own."
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
        if authorizer:  # its type wins over the one that the API has for every method
            kind_of_it = authorizer.authorization_type
            return {"authorizer": authorizer, "authorization_type": kind_of_it, **key_required}
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
            ValueError: the name is not made of letters, digits, ``_``, ``:``, ``-`` and dots, or
                API Gateway has no such variable.
        """
        if not re.fullmatch(r"[A-Za-z]\w*(\.\w[\w:-]*)*", name, re.ASCII):
            raise ValueError(
                f"context variable {name!r}: use letters, digits, _, : and -, nested with dots."
            )
        if not re.fullmatch(_CONTEXT, name):
            raise ValueError(
                f"context variable {name!r} is none that API Gateway has, so it would be empty in "
                "every request. Use one of its guide, such as identity.userArn."
            )
        words = name.split(".")
        value = "".join(f".{word}" if word.isidentifier() else f"['{word}']" for word in words)
        return cls(name, f"$!context{value}", "context")


def _word(what: str, name: str) -> str:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"{what} {name!r}: use letters, digits and _.")
    return name


def check_fields(
    fields: Sequence[RequestField], endpoint: Endpoint, *, authorized: bool, keyed: bool
) -> None:
    """Reject a value that no request of this endpoint has.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html

    Args:
        fields: The values.
        endpoint: Where requests come in.
        authorized: Whether an authorizer lets them in.
        keyed: Whether each has an API key.

    Raises:
        ValueError: a parameter that the path does not have, a field of a body that is not JSON, or
            the identity or the key of a caller who need not have one.
    """
    for one in fields:
        if one.part == "path" and not re.search(rf"{{{one.name}\+?}}", endpoint.path):
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
            re.fullmatch(_SIGNER, one.name) and not signed
        ):
            raise ValueError(
                f"RequestField.context({one.name!r}) was given, but "
                f"{'requests are signed' if signed else 'nobody signs requests'}: it would be "
                "empty, and every request rejected. Use identity.userArn for signed requests, and "
                "authorizer.… with an authorizer."
            )
        if one.part == "context" and re.fullmatch(_KEY, one.name) and not keyed:
            raise ValueError(
                f"RequestField.context({one.name!r}) was given, but no request needs an API key: "
                "it would be empty, and the request rejected. Give a usage_plan."
            )
