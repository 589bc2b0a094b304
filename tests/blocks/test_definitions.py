"""A state machine of a definition in a file may do what its steps say, and its resources fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from serverless_patterns.patterns.blocks.definitions import Definition
from serverless_patterns.patterns.blocks.state_machines import new_state_machine
from tests.contracts.test_queues import ARN
from tests.inline import function, properties, rejected, warned

DAY = 86_400
TRANSACTION = "aws-sdk:dynamodb:transactWriteItems"
INVOKE, SEND, WAIT = "lambda:invoke", "sqs:sendMessage", "sqs:sendMessage.waitForTaskToken"
CHARGED = {"FunctionName": "${Charge}"}
ON_A = {"TableName": "${A}"}
SENT = {"QueueUrl": "${Queue}"}


def step(call: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::{call}"
    fixed = {"Type": "Task", "Resource": resource, "TimeoutSeconds": 11, "Retry": []}
    return fixed | {"Arguments": arguments} | fields


def definition(*steps: dict[str, Any], **fields: Any) -> Definition:
    states = {f"Step{count}": one for count, one in enumerate(steps)}
    return Definition(json.dumps({"States": states, **fields}))


def table(stack: Stack, construct_id: str, **settings: Any) -> dynamodb.Table:
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(stack, construct_id, partition_key=key, **settings)


# What it is made of


def test_states_inside_of_maps_and_parallels_are_found_and_caught_by_those_around_them() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "x"}]
    inner = {"States": {"In": step(INVOKE, CHARGED)}}
    found = definition(
        {"Type": "Map", "ItemProcessor": inner, "Catch": catch},
        {"Type": "Map", "Iterator": inner},  # its old name
        {"Type": "Parallel", "Branches": [inner, {"States": {"Other": step(SEND, SENT)}}]},
        step(SEND, SENT, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "x"}]),
    )
    assert {one.name: one.caught for one in found.steps} == {
        "Step0/In": True,
        "Step1/In": False,
        "Step2/In": False,
        "Step2/Other": False,
        "Step3": False,
    }
    assert [one.name for one in found.states if one.kind != "Task"] == ["Step0", "Step1", "Step2"]


def test_a_definition_that_is_no_json_is_rejected() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        _ = Definition("{,}").machine


# What its steps may do


@pytest.mark.parametrize(
    ("call", "arguments", "permissions"),
    [
        ("dynamodb:getItem", ON_A, [("A", "dynamodb:GetItem")]),
        ("dynamodb:deleteItem", ON_A, [("A", "dynamodb:DeleteItem")]),
        (INVOKE, CHARGED, [("Charge", "lambda:InvokeFunction")]),
        (WAIT, SENT, [("Queue", "sqs:SendMessage")]),
        (
            TRANSACTION,
            {"TransactItems": [{"Put": ON_A}, {"ConditionCheck": {"TableName": "${B}"}}]},
            [("A", "dynamodb:PutItem"), ("B", "dynamodb:ConditionCheckItem")],
        ),
    ],
)
def test_the_permissions_of_a_step_follow_from_its_call(
    call: str, arguments: Any, permissions: list[tuple[str, str]]
) -> None:
    (found,) = definition(step(call, arguments)).steps
    assert list(found.permissions()) == permissions


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("sns:publish", {}, "calls arn:aws:states:::sns:publish, for which no permission is der"),
        (INVOKE, None, "has no FunctionName in its Arguments"),  # not JSONata: Parameters
        (INVOKE, "{% {'FunctionName': '${Charge}'} %}", "has no FunctionName in its Arguments"),
        (INVOKE, {"FunctionName": 5}, "names its resource 5"),
        (INVOKE, {"FunctionName": "charge"}, "names its resource 'charge': give it as a place"),
        *(
            (TRANSACTION, {"TransactItems": items}, "has TransactItems .* not written out")
            for items in (
                "{% $map($lines, function($l) { {'Put': {'TableName': '${A}'}} }) %}",
                ["{% {'Put': {'TableName': '${A}'}} %}"],
                [{"Put": "{% {'TableName': '${A}'} %}"}],
                [{"Put": {"Item": "${A}"}}],
                [{"put": ON_A}],
                [{"Put": ON_A, "Delete": ON_A}],
            )
        ),
    ],
)
def test_a_step_whose_permission_cannot_be_derived_is_rejected(
    call: str, arguments: Any, message: str
) -> None:
    (found,) = definition(step(call, arguments)).steps
    with pytest.raises(ValueError, match=f"Step Step0 {message}"):
        list(found.permissions())


def test_a_customers_key_is_granted_with_its_table_or_queue(stack: Stack) -> None:
    keys = [kms.Key(stack, name) for name in ("TableKey", "QueueKey")]
    resources: Any = {
        "Orders": table(stack, "Orders", encryption_key=keys[0]),
        "Queue": sqs.Queue(stack, "Own", encryption_master_key=keys[1]),
    }
    read = step("dynamodb:getItem", {"TableName": "${Orders}"})
    new_state_machine(stack, definition(read, step(SEND, SENT)), resources)
    (policy,) = properties(stack, "IAM::Policy")
    statements = policy["PolicyDocument"]["Statement"]
    found = [one["Resource"] for one in statements if "kms:Decrypt" in one["Action"]]
    assert found == [stack.resolve(key.key_arn) for key in keys]


# What its resources have to be


@pytest.mark.parametrize(
    ("comment", "name", "message"),
    [
        ("${Nowhere}", "Charge", "uses Nowhere, which resources does not name"),
        ("", "Extra", "names Extra, which the definition does not use"),
        ("${Extra}", "Extra", "is no table, queue or function"),
        ("", "Charge", r"Step0 needs a function, but Charge of resources is a Topic"),
    ],
)
def test_a_resource_that_no_step_can_use_is_rejected(
    stack: Stack, comment: str, name: str, message: str
) -> None:
    resources: Any = {"Charge": function(stack), name: sns.Topic(stack, "Topic")}
    with pytest.raises(ValueError, match=message):
        new_state_machine(stack, definition(step(INVOKE, CHARGED), Comment=comment), resources)


LONG = {"TimeoutSeconds": 13 * DAY}


@pytest.mark.parametrize(
    ("call", "fields", "settings", "message"),
    [
        (WAIT, LONG, {"retention_period": Duration.days(13)}, None),
        (WAIT, LONG, {}, r"Queue keeps messages for 345600 s.*Step0 waits 1123200 s.*token"),
        (WAIT, LONG | {"HeartbeatSeconds": 900}, {}, None),
        (SEND, LONG, {}, None),  # nobody waits
        (SEND, {}, {"fifo": True}, "FIFO queue Queue without MessageGroupId and MessageDedup"),
        (SEND, {"Arguments": SENT | {"MessageGroupId": "1", "MessageDeduplicationId": "1"}},
         {"fifo": True}, None),
    ],
)  # fmt: skip
def test_a_queue_that_rejects_a_message_or_forgets_a_task_token_is_rejected(
    stack: Stack, call: str, fields: dict[str, Any], settings: dict[str, Any], message: str | None
) -> None:
    own = sqs.Queue(stack, "Own", **settings)
    with rejected(message):
        definition(step(call, SENT, **fields)).check({"Queue": own})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reserved_concurrent_executions": 0}, "function of step Step1 reserves 0"),
        ({"timeout": Duration.seconds(11)}, "Step Step1 gives up after 11 s"),
    ],
)
def test_a_function_that_never_runs_or_outlives_the_shortest_of_its_steps_is_rejected(
    stack: Stack, settings: dict[str, Any], message: str
) -> None:
    alias = function(stack, **settings).add_alias("live")
    steps = step(INVOKE, CHARGED, TimeoutSeconds=12), step(INVOKE, CHARGED)
    with pytest.raises(ValueError, match=message):
        definition(*steps).check({"Charge": alias})


def test_a_resource_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    for call, name, own in (
        ("dynamodb:putItem", "TableName", table(stack, "Table", encryption_key=key)),
        (SEND, "QueueUrl", sqs.Queue(stack, "Own", encryption_master_key=key)),
    ):
        resources: Any = {"Mine": own}
        with pytest.raises(ValueError, match=f"The key of {own.node.path} is Stack/Key, which is"):
            definition(step(call, {name: "${Mine}"})).check(resources)


@pytest.mark.parametrize(
    ("call", "told"),
    [(WAIT, "waits 11 s.*keep messages at least that long"), (SEND, "retention period only")],
)
def test_an_imported_queue_is_told_how_long_it_must_keep_messages(
    stack: Stack, call: str, told: str
) -> None:
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", ARN)
    definition(step(call, SENT)).check({"Queue": theirs})
    warned(stack, f"{told}.*key_arn")


def test_an_imported_function_is_told_when_its_step_gives_up(stack: Stack) -> None:
    theirs = lambda_.Function.from_function_name(stack, "Theirs", "charge")
    definition(step(INVOKE, CHARGED)).check({"Charge": theirs})
    warned(stack, "end within 11 s, when step Step0 gives up.*reserve 0")


def test_an_imported_table_is_asked_for_its_key(stack: Stack) -> None:
    theirs = dynamodb.Table.from_table_name(stack, "Theirs", "orders")
    definition(step("dynamodb:putItem", ON_A)).check({"A": theirs})
    warned(stack, "customer key.*from_table_attributes")
