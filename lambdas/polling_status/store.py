"""The front's calls of AWS: the table of statuses, and the queue or state machine that works."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ..foundation import aws, tables
from ..foundation.statuses import ATTRIBUTE, JOB
from . import logic

if TYPE_CHECKING:
    from collections.abc import Mapping


def items(job: str) -> list[dict[str, Any]]:
    """Return the items of a job."""
    answer = tables.client().query(
        TableName=os.environ["STATUS_TABLE_NAME"],
        KeyConditionExpression="pk = :job",
        ExpressionAttributeValues={":job": {"S": job}},
        ConsistentRead=True,
    )
    return [tables.deserialize(item) for item in answer["Items"]]


def accept(job: str, item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Put a job that is new; return the item of one that is not.

    Raises:
        ClientError: AWS did not take it. Or another error of botocore.
    """
    put = tables.new(os.environ["STATUS_TABLE_NAME"], {"pk": job, "sk": JOB, **item})
    client = tables.client()
    try:
        client.put_item(**put)
    except client.exceptions.ConditionalCheckFailedException as error:
        answer: Any = error.response
        return tables.deserialize(answer["Item"])
    return None


def hand_over(job: str, body: str) -> None:
    """Give a request to who works; the same one twice has one effect.

    Raises:
        ClientError: AWS did not take it. Or another error of botocore.
    """
    if "QUEUE_URL" in os.environ:
        said = {ATTRIBUTE: {"DataType": "String", "StringValue": job}}
        aws.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE_URL"], MessageBody=body, MessageAttributes=said
        )
        return
    states = aws.client("stepfunctions")
    try:
        states.start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=logic.execution(job),
            input=body,
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
        found: Any = states.describe_execution(executionArn=f"{prefix}:{logic.execution(job)}")
    except states.exceptions.ExecutionDoesNotExist:
        return None
    except ClientError as error:
        if aws.code(error) != "ThrottlingException":
            raise
        return {"status": "RUNNING"}
    return dict(found)
