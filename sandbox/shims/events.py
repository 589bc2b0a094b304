"""EventBridge: how it invokes a function."""

from __future__ import annotations

import json
from typing import Any

from ._forward import around, ministack

GAPS = {
    "events-asynchronous-invocation": "A function that a rule or a schedule invokes is run once: "
    "it is not retried, and its failure is not recorded.",
}
SERVICE = "services.eventbridge"


def asynchronous_invocation() -> None:
    """Forward an event to Lambda's own asynchronous invocation, as S3's notifications are."""
    events, functions = ministack(SERVICE), ministack("services.lambda_svc")

    @around(events, "_dispatch_to_lambda")
    def dispatch(original: Any, arn: str, payload: str) -> None:
        function, config, _ = functions._get_func_record_for_ref(arn)
        if not function or not config:
            original(arn, payload)
            return
        record = functions._execution_record_for_config(function, config)
        functions.invoke_async_with_retry(record, json.loads(payload))


SHIMS = {"events-asynchronous-invocation": asynchronous_invocation}
