"""A little saga of three steps, how tests change it, and a table for its steps."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_dynamodb as dynamodb

if TYPE_CHECKING:
    from aws_cdk import Stack

RETRY = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
CATCH = [
    {"ErrorEquals": [error], "Next": "Park"} for error in ("States.DataLimitExceeded", "States.ALL")
]


def task(call: str, seconds: int, arguments: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a Task state that keeps the rules of a saga."""
    resource = f"arn:aws:states:::{call}"
    fixed = {"Type": "Task", "Resource": resource, "TimeoutSeconds": seconds, "Retry": [RETRY]}
    return {**fixed, "Arguments": arguments, **fields}


WRITES = [
    {"Put": {"TableName": "${Orders}", "Item": {}}},
    {"ConditionCheck": {"TableName": "${Stock}", "Key": {}}},
]
RESERVE = task("aws-sdk:dynamodb:transactWriteItems", 5, {"TransactItems": WRITES}, End=True)
PARKED = {"QueueUrl": "${ParkedQueue}", "MessageBody": "{% $states.context.Task.Token %}"}
CHARGED = {"FunctionName": "${Charge}", "Payload": {}}
SAGA: dict[str, Any] = {
    "QueryLanguage": "JSONata",
    "StartAt": "Charge",
    "States": {
        "Charge": task("lambda:invoke", 11, CHARGED, Catch=CATCH, Next="Lines"),
        "Lines": {
            "Type": "Map",
            "Items": "{% $states.input.lines %}",
            "MaxConcurrency": 40,
            "ItemProcessor": {"StartAt": "Reserve", "States": {"Reserve": RESERVE}},
            "Catch": CATCH,
            "End": True,
        },
        "Park": task("sqs:sendMessage", 5, PARKED, Catch=[CATCH[1] | {"Next": "Failed"}], End=True),
        "Failed": {"Type": "Fail", "Error": "Failed"},
    },
}


def changed(*path: str, **values: Any) -> dict[str, Any]:
    """Return the saga with fields of one state set, or removed when None."""
    machine = copy.deepcopy(SAGA)
    state: Any = machine
    for name in path:
        state = state.get("ItemProcessor", state)["States"][name]
    state.update(values)
    for name in [name for name, value in values.items() if value is None]:
        del state[name]
    return machine


def table(stack: Stack, construct_id: str, **settings: Any) -> dynamodb.Table:
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(stack, construct_id, partition_key=key, **settings)
