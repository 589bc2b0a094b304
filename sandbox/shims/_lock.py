"""Locks the embedded AWS: other users of this machine can reach its port, but not use it.

MiniStack itself takes the keys ``test`` and every account number for root's, and serves pages that
show and reset what it holds.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from ._forward import around, ministack

# What the CDK CLI, custom resources and we ourselves need of its own pages; the last two have a
# token in their path.
OPEN = ("/_ministack/health", "/_ministack/cfn-response/", "/_ministack/cfn-signal/")
CLOSED = 403, {"Content-Type": "text/plain"}, b"Closed: see the stacks through the AWS APIs."


def lock() -> None:
    """Take the keys of this run alone for root's, close the pages, open no second port."""
    app = ministack("app")
    for owner in (ministack("core.iam_evaluator"), ministack("services.sts")):
        owner.is_root_access_key = _is_ours
    app._port_is_bindable = lambda *_: False  # as root it would listen on 443, too
    salt = secrets.token_hex(16)

    @around(app, "_handle_pre_body_request")
    async def handle(original: Any, method: str, path: str, *args: Any) -> Any:
        if path.startswith(("/_ministack/", "/_localstack/")) and not path.startswith(OPEN):
            return CLOSED
        return await original(method, path, *args)

    @around(ministack("core.lambda_runtime"), "execution_credentials")
    def credentials(original: Any, config: dict[str, Any]) -> Any:
        """A function's keys are derived from its names alone, which anybody can guess."""
        return original({**config, "FunctionArn": f"{config['FunctionArn']}:{salt}"})

    @around(app, "_enforce_data_plane")
    def enforce(
        original: Any, service: str, action: str, headers: Any, *args: Any, **more: Any
    ) -> Any:
        """A function's URL without authorization is public; MiniStack takes nobody for root."""
        context = more.get("service_context") or {}
        signed = "authorization" in headers
        if context.get("lambda:FunctionUrlAuthType") == "NONE" and not signed:
            return None
        return original(service, action, headers, *args, **more)

    @around(app, "_enforce_execute_api")
    def enforce_api(
        original: Any, api_id: str, stage: str, method: str, path: str, *args: Any, **more: Any
    ) -> Any:
        """What no route of an HTTP API matches needs no signature: CORS's preflight, and a 404."""
        manages = more.get("iam_action") == "execute-api:ManageConnections"
        http = ministack("services.apigateway").find_api_scope(api_id)
        route = app._execute_api_authorization_type(api_id, stage, method, path)
        if http and not route and not manages:
            return None
        return original(api_id, stage, method, path, *args, **more)


def _is_ours(access_key: str) -> bool:
    return access_key == os.environ["AWS_ACCESS_KEY_ID"]
