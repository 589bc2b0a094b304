"""Registers the endpoint of a client: one in a public network, with TLS, or none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import checks, endpoints
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, str]:
    """Take ``{"url": …}``; the name is looked up again for every delivery."""
    try:
        url = checks.fields(event, "request", "url")["url"]
        target = endpoints.check(url, os.environ.get("ALLOWED_ORIGINS", "").split())
        endpoints.resolve(target)
    except RefusedError as error:
        logger.warning("Rejected", reason=error.reason)
        return {"status": "rejected", "reason": error.reason, "detail": error.detail}
    except endpoints.UnreachableError as error:
        return {"status": "rejected", "reason": str(error), "detail": "url has no address."}
    store.register(url)
    return {"status": "registered"}
