"""The front's calls of AWS: statuses, and who works. Each raises botocore's errors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ..foundation import aws, statuses
from ..foundation.statuses import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping


def accept(item: Mapping[str, Any], _: str) -> Mapping[str, Any] | None:
    """Put a job whose key is free, or whose job has expired; else return the item that has it."""
    return statuses.accept(item)


def hand_over(job: str, body: str) -> None:
    """Give a request to who works; the same one twice has one effect."""
    if "QUEUE_URL" in os.environ:
        aws.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE_URL"], MessageBody=body, MessageAttributes=attribute(job)
        )
        return
    states = aws.client("stepfunctions")
    try:
        states.start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"], name=job, input=body
        )
    except states.exceptions.ExecutionAlreadyExists:
        return  # it has ended


def look(job: str) -> Mapping[str, Any] | None:
    """Return the execution of a job; None if there is none.

    One that cannot be asked about now, since too many are, is one that runs.
    """
    if "STATE_MACHINE_ARN" not in os.environ:
        return None
    prefix = os.environ["STATE_MACHINE_ARN"].replace(":stateMachine:", ":execution:")
    states = aws.client("stepfunctions")
    try:
        found: Any = states.describe_execution(executionArn=f"{prefix}:{job}")
    except states.exceptions.ExecutionDoesNotExist:
        return None
    except ClientError as error:
        if aws.code(error) != "ThrottlingException":
            raise
        return {"status": "RUNNING"}
    return dict(found)
