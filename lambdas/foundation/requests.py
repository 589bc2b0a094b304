"""Requests that a function answers behind a REST API's proxy integration. Pure but for ``CORS``.

Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whatever keeps an answer, keeps it for this client, and asks whether it is still so.
KEPT = "private, no-cache"
CORS = "CORS_ORIGINS"  # the variable with the origins whose pages may read answers


def headers(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a request, their names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def body(event: Mapping[str, Any]) -> str:
    """Return the body of a request; an API that has its content type as binary encodes it.

    What is no UTF-8 has surrogates, which ``strict_json`` rejects.
    """
    found: str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(found).decode(errors="surrogateescape")
    return found


def sender(event: Mapping[str, Any]) -> str:
    """Return who sent a request, by what API Gateway has verified; nothing if it knows nobody.

    The caller is ``<role id>:<session>`` of a role, whose sessions are one client, and
    ``<account>:<name>`` of a federated user. Sources:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html,
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    context = event["requestContext"]
    identity, authorizer = context.get("identity") or {}, context.get("authorizer") or {}
    caller, claims = identity.get("caller") or "", authorizer.get("claims")
    each = (
        ("user", claims.get("sub") if isinstance(claims, dict) else None),
        ("principal", authorizer.get("principalId")),
        ("identity", identity.get("cognitoIdentityId")),
        ("signer", caller.partition(":")[0] if caller.startswith("AROA") else caller),
    )
    return next((f"{kind}:{name}" for kind, name in each if name), "")


def answer(status: int, said: Any, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the answer with this JSON, or no body for None, and with these headers."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": KEPT, **(extra or {})},
        "body": "" if said is None else json.dumps(said, ensure_ascii=False),
    }


def let_pages_read(answer: dict[str, Any], event: Mapping[str, Any], *exposed: str) -> Any:
    """Return an answer that a page of the request's origin may read, if it is one of ``CORS``.

    ``exposed``: the headers that it may read, too. Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
    """
    allowed, origin = os.environ.get(CORS, "").split(), headers(event).get("origin")
    if allowed:
        answer["headers"] |= {
            "Access-Control-Allow-Origin": origin if origin in allowed else allowed[0],
            "Access-Control-Expose-Headers": ",".join(exposed),
            "Vary": "Origin",
        }
    return answer
