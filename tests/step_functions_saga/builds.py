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

_FOLDER = tempfile.TemporaryDirectory()
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
PARKED = {"QueueUrl": "${ParkedQueue}", "MessageBody": "parked"}
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


def make(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> StepFunctionsSaga:
    """Make the construct with the little saga; settings of ``Saga`` and ``machine`` change it."""
    machine = settings.pop("machine", SAGA)
    text = machine if isinstance(machine, str) else json.dumps(machine)
    file = Path(_FOLDER.name, f"{abs(hash(text))}.asl.json")
    file.write_text(text, encoding="utf-8")
    resources = {**settings.pop("resources", {})}
    given = {name: settings.pop(name) for name in [*settings] if name in Saga.__annotations__}
    kinds: dict[str, Any] = {"Charge": function, "Orders": table, "Stock": table}
    for name in kinds.keys() - resources.keys():
        resources[name] = kinds[name](stack, construct_id + name)
    saga = Saga(definition=file, resources=resources, **given)
    return StepFunctionsSaga(stack, construct_id, saga=saga, **settings)


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
