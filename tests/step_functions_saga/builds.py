"""How the contract suites make the construct: with a little saga of three steps."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_dynamodb as dynamodb

from serverless_patterns.patterns.step_functions_saga.construct import Saga, StepFunctionsSaga
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

RETRY = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
CATCH = {"ErrorEquals": ["States.ALL"], "Next": "Park"}
RESERVE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:dynamodb:transactWriteItems",
    "TimeoutSeconds": 5,
    "Arguments": {
        "TransactItems": [
            {"Put": {"TableName": "${Orders}", "Item": {}}},
            {"ConditionCheck": {"TableName": "${Stock}", "Key": {}}},
        ]
    },
    "Retry": [RETRY],
    "End": True,
}
SAGA: dict[str, Any] = {
    "QueryLanguage": "JSONata",
    "StartAt": "Charge",
    "States": {
        "Charge": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "TimeoutSeconds": 11,
            "Arguments": {"FunctionName": "${Charge}", "Payload": {}},
            "Retry": [RETRY],
            "Catch": [CATCH],
            "Next": "Lines",
        },
        "Lines": {
            "Type": "Map",
            "Items": "{% $states.input.lines %}",
            "MaxConcurrency": 40,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Reserve",
                "States": {"Reserve": RESERVE},
            },
            "Catch": [CATCH],
            "End": True,
        },
        "Park": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "TimeoutSeconds": 5,
            "Arguments": {"QueueUrl": "${ParkedQueue}", "MessageBody": "parked"},
            "Retry": [RETRY],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "End": True,
        },
        "Failed": {"Type": "Fail", "Error": "Failed"},
    },
}
_FOLDER = tempfile.TemporaryDirectory()


def changed(*path: str, **values: Any) -> dict[str, Any]:
    """Return the saga with fields of one state set, or removed when None."""
    machine = copy.deepcopy(SAGA)
    state: Any = machine
    for name in path:
        state = state.get("ItemProcessor", state)["States"][name]
    for name, value in values.items():
        state.pop(name, None)
        if value is not None:
            state[name] = value
    return machine


def table(stack: Stack, construct_id: str, **settings: Any) -> dynamodb.Table:
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(stack, construct_id, partition_key=key, **settings)


def resources(stack: Stack, prefix: str = "Pattern") -> dict[str, Any]:
    return {
        "Charge": function(stack, f"{prefix}Charge"),
        "Orders": table(stack, f"{prefix}Orders"),
        "Stock": table(stack, f"{prefix}Stock"),
    }


def saga(stack: Stack, prefix: str = "Pattern", machine: Any = SAGA, **settings: Any) -> Saga:
    """Return the little saga, or a changed one, with resources of its own."""
    text = machine if isinstance(machine, str) else json.dumps(machine)
    file = Path(_FOLDER.name, f"{abs(hash(text))}.asl.json")
    file.write_text(text, encoding="utf-8")
    found = settings.pop("resources", None) or resources(stack, prefix)
    return Saga(definition=file, resources=found, **settings)


def make(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> StepFunctionsSaga:
    of_saga = ("machine", "resources", "parked_queue", "encryption_key", "log_execution_data")
    given = {name: settings.pop(name) for name in of_saga if name in settings}
    settings.setdefault("saga", None)
    settings["saga"] = settings["saga"] or saga(stack, construct_id, **given)
    return StepFunctionsSaga(stack, construct_id, **settings)


def make_express(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    return make(stack, construct_id, express=True, **settings)


def make_intake(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> Any:
    """Make the construct with a starter; return the queue that it reads."""
    starter = settings.pop("consumer", None) or function(stack, f"{construct_id}Starter")
    return make(stack, construct_id, starter=starter, **settings).intake


BUILDS = [
    Build("step_functions_saga", make, frozenset({"endpoint", "alarms"})),
    Build("step_functions_saga express", make_express, frozenset({"endpoint", "alarms"})),
    Build("step_functions_saga intake", make_intake, frozenset({"queue", "consumer", "alarms"})),
]
