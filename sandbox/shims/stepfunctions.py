"""Step Functions: which state machine a task token is of, and how long an expression may take."""

from __future__ import annotations

import time
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from ._forward import around, ministack

GAPS = {
    "step-functions-expression-time": "A JSONata expression that waits for others for a second "
    "fails, and with it the execution: its limit counts the time of the clock.",
    "step-functions-heartbeat": "A task that gives no sign of life within HeartbeatSeconds is not "
    "failed; only TimeoutSeconds counts.",
    "step-functions-metrics-and-alarms": "Step Functions emits no CloudWatch metrics, so alarms on "
    "them never change.",
    "step-functions-token-permissions": "An answer to a task is authorized on all resources, not "
    "on its token's state machine.",
}


def expression_time() -> None:
    """Forward to an expression's limit how long it ran, without what a busy machine let it wait."""
    limit = import_module("jsonata.timebox").Timebox

    @around(limit, "__init__")
    def start(original: Any, box: Any, *args: Any) -> None:
        box.started = time.thread_time()
        original(box, *args)

    @around(limit, "check_runaway")
    def check(original: Any, box: Any) -> None:
        if 1000 * (time.thread_time() - box.started) > box.timeout:
            original(box)


def token_permissions() -> None:
    """Forward which state machine a token is of, so that a permission for this one suffices."""
    states = ministack("services.stepfunctions")
    actions = ministack("core.iam_actions")
    running: ContextVar[str] = ContextVar("running", default="*")
    owners: dict[str, str] = {}

    @around(states, "_execute_task")
    def execute(original: Any, state: Any, given: Any, execution: Any, context: Any) -> Any:
        token = running.set(execution["stateMachineArn"])
        try:
            return original(state, given, execution, context)
        finally:
            running.reset(token)

    @around(states, "_invoke_with_callback")
    def wait(original: Any, resource: str, given: Any, token: str, *args: Any) -> Any:
        owners[token] = running.get()  # permanently: a late answer is authorized too
        return original(resource, given, token, *args)

    @around(actions, "extract_resource_arn")
    def extract(
        original: Any, service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
    ) -> Any:
        found = original(service, method, path, headers, body, *rest)
        if service == "states" and found == "*":
            return owners.get(actions._safe_json_field(body, "taskToken"), found)
        return found


SHIMS = {
    "step-functions-expression-time": expression_time,
    "step-functions-token-permissions": token_permissions,
}
