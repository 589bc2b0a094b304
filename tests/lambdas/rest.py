"""A request as a REST API's proxy integration hands it to a function."""

from __future__ import annotations

from typing import Any


def request(
    method: str,
    path: str,
    body: str = "",
    *,
    who: str = "AROACUSTOMER:session",
    binary: bool = False,
    **headers: str,
) -> dict[str, Any]:
    """Return a request of ``<resource>`` or ``<resource>/<id>``, signed by a role's session."""
    parts = path.split("/")
    return {
        "httpMethod": method,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "pathParameters": {"id": parts[1]} if len(parts) > 1 else None,
        "body": body or None,
        "isBase64Encoded": binary,
        "requestContext": {"path": f"/prod/{path}", "identity": {"caller": who}},
    }
