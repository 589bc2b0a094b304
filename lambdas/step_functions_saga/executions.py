"""Executions and task tokens: the only file that calls Step Functions."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import boto3

from ..foundation import aws


@functools.cache
def client() -> Any:
    """Return the client, made on first use."""
    return boto3.client("stepfunctions", config=aws.config(read_timeout=3))


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
    gone = client().exceptions
    try:
        client().send_task_success(taskToken=task_token, output=json.dumps({"outcome": outcome}))
    except (gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
        return False
    return True


def sign_of_life(task_token: str) -> bool:
    """Tell that a task is still being worked on; return whether somebody still waits for it."""
    gone = client().exceptions
    try:
        client().send_task_heartbeat(taskToken=task_token)
    except (gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
        return False
    return True
