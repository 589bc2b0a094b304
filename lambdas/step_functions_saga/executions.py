"""Executions and task tokens: the only file that calls Step Functions."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..foundation import aws

if TYPE_CHECKING:
    from collections.abc import Callable


def client() -> Any:
    """Return the client."""
    return aws.client("stepfunctions", read_timeout=3)


def start(name: str, body: str) -> str | None:
    """Start an execution; return the input of the one that has its name already, else None."""
    machine = os.environ["STATE_MACHINE_ARN"]
    try:
        client().start_execution(stateMachineArn=machine, name=name, input=body)
    except client().exceptions.ExecutionAlreadyExists:
        arn = f"{machine.replace(':stateMachine:', ':execution:', 1)}:{name}"
        return str(client().describe_execution(executionArn=arn)["input"])
    return None


def answer(task_token: str, outcome: str) -> bool:
    """Send a task's outcome; return whether somebody still waited for it."""
    output = json.dumps({"outcome": outcome})
    return _is_awaited(client().send_task_success, taskToken=task_token, output=output)


def sign_of_life(task_token: str) -> bool:
    """Report that a task is still being worked on; return whether somebody still waits for it."""
    return _is_awaited(client().send_task_heartbeat, taskToken=task_token)


def _is_awaited(call: Callable[..., Any], **arguments: str) -> bool:
    gone = client().exceptions
    try:
        call(**arguments)
    except (gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
        return False
    return True
