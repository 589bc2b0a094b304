"""Cognito user pools: the calls of a page, which has no AWS credentials."""

from __future__ import annotations

from typing import Any

from ._forward import around, ministack

GAPS = {
    "cognito-unsigned-calls": "A call that AWS takes without credentials, such as InitiateAuth, is "
    "refused without them.",
}


def unsigned_calls() -> None:
    """Forward a call that AWS's own model sends unsigned to Cognito, as it is."""
    iam = ministack("core.iam_evaluator")

    @around(iam, "enforce")
    def enforce(
        original: Any, key: str, action: str, service: str, *args: Any, **named: Any
    ) -> Any:
        if service == "cognito-idp" and not key and iam._served_unsigned(service, action):
            return None
        return original(key, action, service, *args, **named)


SHIMS = {"cognito-unsigned-calls": unsigned_calls}
