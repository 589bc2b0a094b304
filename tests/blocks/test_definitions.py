"""A state machine of a definition in a file may do what its steps say, and its resources fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.definitions import Definition
from serverless_patterns.patterns.blocks.state_machines import new_state_machine
from tests.contracts.test_queues import ARN, FUNCTION_ARN
from tests.inline import function, properties, rejected, warned
from tests.sagas import table

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400
TRANSACTION = "aws-sdk:dynamodb:transactWriteItems"
INVOKE, SEND, WAIT = "lambda:invoke", "sqs:sendMessage", "sqs:sendMessage.waitForTaskToken"
CHARGED = {"FunctionName": "${Charge}"}
ON_A = {"TableName": "${A}"}
SENT = {"QueueUrl": "${Queue}", "MessageBody": "{% $states.context.Task.Token %}"}
SPREAD: dict[str, Any] = {
    "Type": "Map",
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "States": {"Pass": {"Type": "Pass"}},
    },
}


def step(call: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::{call}"
    fixed = {"Type": "Task", "Resource": resource, "TimeoutSeconds": 11, "Retry": []}
    return fixed | {"Arguments": arguments} | fields


def definition(*steps: dict[str, Any], **fields: Any) -> Definition:
    states = {f"Step{count}": one for count, one in enumerate(steps)}
    return Definition(json.dumps({"QueryLanguage": "JSONata", "States": states, **fields}))


# What it is made of


def test_states_inside_of_maps_and_parallels_are_found_and_caught_by_those_around_them() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Step3"}]
    inner = {"States": {"In": step(INVOKE, CHARGED)}}
    found = definition(
        {"Type": "Map", "ItemProcessor": inner, "Catch": catch},
        {"Type": "Map", "Iterator": inner},  # its old name
        {"Type": "Parallel", "Branches": [inner, {"States": {"Map": {"Type": "Map", **inner}}}]},
        step(SEND, SENT, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Step4"}]),
        {"Type": "Parallel", "Branches": [{"States": {"Map": SPREAD}}], "Catch": catch},
    )
    assert {one.name: [*one.caught] for one in found.steps} == {
        "Step0/In": ["States.ALL"],
        "Step1/In": [],
        "Step2/In": [],
        "Step3": ["States.Timeout"],
    }
    others = {one.name: one for one in found.states if one.kind != "Task"}
    assert [*others] == [
        "Step0",
        "Step1",
        "Step2",
        "Step2/Map",
        "Step4",
        "Step4/Map",
        "Step4/Map/Pass",
    ]
    # What ends an execution of its own is another error in the Map that started it.
    assert others["Step4/Map"].caught == {"States.ALL"}
    assert others["Step4/Map/Pass"].caught == {"States.ALL", "States.DataLimitExceeded"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{,}", "not JSON"),
        ("[]", "The definition has no States"),
        ('{"States": []}', "The definition has no States"),
        ('{"States": {"A": {"Type": "Map", "ItemProcessor": {}}}}', "Map A has no States"),
        ('{"States": {"A": "Pass"}}', "State A has 'Pass' where an object must be"),
        ('{"States": {"A": {}}}', "State A has no Type"),
        ('{"States": {"A": {"Type": "Task"}}}', "State A has no Resource"),
        (
            '{"States": {"A": {"Type": "Map", "Catch": [{}]}}}',
            "State A, in Catch, has no ErrorEquals",
        ),
        ('{"States": {"A": {"Type": "Map", "Retry": 5}}}', "A has Retry 5; it must be a list"),
        (
            '{"States": {"A": {"Type": "Map", "Retry": [{"ErrorEquals": ["x", "States.ALL"]}]}}}',
            "A has States.ALL in its Retry beside or before other errors",
        ),
    ],
)
def test_what_is_not_in_amazon_states_language_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = Definition(text).states


def test_a_file_that_cannot_be_read_is_rejected_with_its_path(tmp_path: Path) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes(b"\xff")
    for path in (tmp_path / "none.asl.json", tmp_path, latin):
        with pytest.raises(
            ValueError, match=f"The definition {path} cannot be read: .*Give the pa"
        ):
            Definition.from_file(path)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_definition_works_in_every_partition_whichever_it_was_written_for(
    stack: Stack, partition: str
) -> None:
    text = definition(step(INVOKE, CHARGED)).text.replace("arn:aws:", f"arn:{partition}:")
    new_state_machine(stack, Definition(text), {"Charge": function(stack)})
    china = Stack(App(), "China", env=Environment(region="cn-north-1"))
    new_state_machine(china, Definition(text), {"Charge": function(china)})
    for where in (stack, china):
        (machine,) = properties(where, "StepFunctions::StateMachine")
        assert json.loads(machine["DefinitionString"])["States"]["Step0"]["Resource"] == (
            "${CallLambdaInvoke}"
        )
        parts = ["arn:", {"Ref": "AWS::Partition"}, ":states:::lambda:invoke"]
        called = machine["DefinitionSubstitutions"]["CallLambdaInvoke"]
        assert called == {"Fn::Join": ["", parts]}


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
    assert list(found.permissions()) == [(*one, "") for one in permissions]


LIST, READ, WRITE = (
    f"arn:aws:states:::s3:{name}" for name in ("listObjectsV2", "getObject", "putObject")
)
COUNTED = {"Resource": READ, "Arguments": {"Bucket": "${B}", "Key": "{% $states.input.key %}"}}


@pytest.mark.parametrize(
    ("fields", "permissions"),
    [
        ({}, []),
        ({"ItemReader": COUNTED}, [("B", "s3:GetObject", "*")]),
        (
            {"ItemReader": COUNTED | {"Arguments": {"Bucket": "${B}", "Key": "in/a.jsonl"}}},
            [("B", "s3:GetObject", "in/a.jsonl")],
        ),
        (
            {
                "ItemReader": {
                    "Resource": READ,
                    "ReaderConfig": {"InputType": "MANIFEST"},
                    "Arguments": {"Bucket": "${B}", "Key": "in/manifest.json"},
                }
            },
            [("B", "s3:GetObject", "*")],
        ),
        (
            {"ItemReader": {"Resource": LIST, "Arguments": {"Bucket": "${B}"}}},
            [("B", "s3:ListBucket", "")],
        ),
        (
            {
                "ItemReader": {
                    "Resource": LIST,
                    "ReaderConfig": {"Transformation": "LOAD_AND_FLATTEN"},
                    "Arguments": {"Bucket": "${B}", "Prefix": "in/"},
                }
            },
            [("B", "s3:ListBucket", ""), ("B", "s3:GetObject", "in/*")],
        ),
        (
            {"ResultWriter": {"Resource": WRITE, "Arguments": {"Bucket": "${B}", "Prefix": "out"}}},
            [
                ("B", f"s3:{name}", "out/*")
                for name in (
                    "PutObject",
                    "GetObject",
                    "ListMultipartUploadParts",
                    "AbortMultipartUpload",
                )
            ],
        ),
        ({"ResultWriter": {"WriterConfig": {"OutputType": "JSON"}}}, []),
    ],
)
def test_a_distributed_map_may_read_its_items_and_write_its_results(
    fields: dict[str, Any], permissions: list[Any]
) -> None:
    found = definition(SPREAD | fields).states[0]
    assert list(found.permissions()) == permissions


@pytest.mark.parametrize("within", ["Map", "Parallel"])
def test_a_distributed_map_may_start_watch_stop_and_redrive_its_executions(
    stack: Stack, within: str
) -> None:
    part = {"States": {"Each": SPREAD | {"ItemReader": COUNTED}}}
    around: Any = {"Map": {"ItemProcessor": part}, "Parallel": {"Branches": [part]}}[within]
    bucket: Any = s3.Bucket(stack, "Counts", encryption_key=kms.Key(stack, "Key"))
    text = definition({"Type": within, **around})
    new_state_machine(stack, text, {"B": bucket})
    policies = [one["PolicyDocument"]["Statement"] for one in properties(stack, "IAM::Policy")]
    found = {str(one["Action"]): json.dumps(one["Resource"]) for each in policies for one in each}
    assert '{"Ref": "StateMachine' in found["states:StartExecution"]
    children = found[str([f"states:{name}Execution" for name in ("Describe", "Stop", "Redrive")])]
    assert children.count(':*"') == 2  # those of the state machine, and those of its Maps
    assert '"/*:*"' in children
    assert json.dumps([stack.resolve(bucket.bucket_arn), "/*"]) in found["s3:GetObject"]
    assert str(["kms:Decrypt", "kms:GenerateDataKey*"]) in found
    Template.from_stack(stack)  # rejects a template that depends on itself


def test_an_inline_map_starts_no_executions(stack: Stack) -> None:
    inner = {"States": {"In": step(INVOKE, CHARGED)}}
    mapped = definition({"Type": "Map", "ItemProcessor": inner})
    new_state_machine(stack, mapped, {"Charge": function(stack)})
    assert "states:StartExecution" not in json.dumps(properties(stack, "IAM::Policy"))


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("sns:publish", {}, "calls sns:publish, for which no permission is der"),
        (
            "states:startExecution.sync:2",
            {},
            "calls states:startExecution.sync:2, for which no per",
        ),
        (
            "aws-sdk:dynamodb:putItem",
            ON_A,
            "calls aws-sdk:dynamodb:putItem, for which no permission",
        ),
        ("dynamodb:putItem.waitForTaskToken", ON_A, "calls dynamodb:putItem.waitForTaskToken, for"),
        (INVOKE, None, "has no FunctionName in its Arguments"),
        (WAIT, {"QueueUrl": "${Queue}"}, "waits for a task token that it does not send"),
        (INVOKE, CHARGED | {"Qualifier": "live"}, "has Qualifier live, but its permission is for"),
        (
            INVOKE,
            CHARGED | {"InvocationType": "Event"},
            "has InvocationType Event: it would not wa",
        ),
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


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            step(INVOKE, CHARGED, Credentials={"RoleArn": "${Role}"}),
            "has Credentials: it would act",
        ),
        (step(INVOKE, CHARGED, QueryLanguage="JSONPath"), "is in JSONPath, for which no perm"),
        (SPREAD | {"QueryLanguage": "JSONPath", "ItemReader": COUNTED}, "is in JSONPath"),
        (SPREAD | {"ItemReader": {"Resource": READ}}, "has no Bucket in its Arguments"),
        (
            {"Type": "Task", "Resource": "arn:aws:states:us-east-1:111111111111:activity:pack"},
            "calls arn:aws:states:us-east-1:111111111111:activity:pack, for which no",
        ),
        ({"Type": "Task", "Resource": "${Charge}"}, r"calls \${Charge}, for which no permission"),
    ],
)
def test_a_state_that_acts_by_itself_or_in_another_way_is_rejected(
    state: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"Step0 {message}"):
        list(definition(state).states[0].permissions())


def test_a_resource_or_key_in_another_account_or_region_is_rejected() -> None:
    here = Stack(App(), "Here", env=Environment(account="1" * 12, region="us-east-1"))
    for region, account, place in (
        ("eu-west-1", "1", "Region eu"),
        ("us-east-1", "2", "account 2"),
    ):
        arn = f"arn:aws:lambda:{region}:{account * 12}:function:charge"
        theirs = lambda_.Function.from_function_arn(here, place, arn)
        with pytest.raises(ValueError, match=f"Charge of resources is in {place}.*Call a function"):
            new_state_machine(here, definition(step(INVOKE, CHARGED)), {"Charge": theirs})
    key = kms.Key.from_key_arn(here, "Key", f"arn:aws:kms:eu-west-1:{'1' * 12}:key/theirs")
    mine = table(here, "Mine", encryption_key=key)
    with pytest.raises(ValueError, match="is a key of the Region eu-west-1"):
        new_state_machine(here, definition(step("dynamodb:getItem", ON_A)), {"A": mine})


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
        ("${AWS::Region}", "Charge", r"has \${AWS::Region}, which nothing replaces"),
        (
            "${Extra}",
            "Extra",
            r"^resources\['Extra'\] is a Topic; it must be of type ITable or IQu",
        ),
        ("", "Charge", r"Step0 needs a function, but Charge of resources is a Queue"),
    ],
)
def test_a_resource_that_no_step_can_use_is_rejected(
    stack: Stack, comment: str, name: str, message: str
) -> None:
    wrong = sqs.Queue if name == "Charge" else sns.Topic
    resources: Any = {"Charge": function(stack), name: wrong(stack, "Wrong")}
    with pytest.raises(ValueError, match=message):
        new_state_machine(stack, definition(step(INVOKE, CHARGED), Comment=comment), resources)


LONG = {"TimeoutSeconds": 13 * DAY}


@pytest.mark.parametrize(
    ("call", "fields", "settings", "message"),
    [
        (WAIT, LONG, {"retention_period": Duration.days(13)}, None),
        (WAIT, LONG, {}, "Queue keeps messages for 4 days.*Step0 waits 13 days.*token.*14 days"),
        (WAIT, {"TimeoutSeconds": None}, {}, "Step0 has no TimeoutSeconds"),
        (WAIT, {"TimeoutSeconds": "{% 5 %}"}, {}, "Step0 has no TimeoutSeconds"),
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
    [(WAIT, "waits 11 s.*keep messages at least that long"), (SEND, "only, 4 days unless it is")],
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
    warned(stack, "must end before step Step0 gives up, after 11 s.*reserve 0")


def test_an_imported_function_of_a_step_without_a_timeout_is_told_so(stack: Stack) -> None:
    theirs = lambda_.Function.from_function_name(stack, "Theirs", "charge")
    definition(step(INVOKE, CHARGED, TimeoutSeconds="{% 5 %}")).check({"Charge": theirs})
    warned(stack, "must end before step Step0 gives up")


def test_an_imported_alias_or_version_is_called(stack: Stack) -> None:
    version = lambda_.Version.from_version_arn(stack, "Version", f"{FUNCTION_ARN}:1")
    alias = lambda_.Alias.from_alias_attributes(
        stack, "Theirs", alias_name="live", alias_version=version
    )
    for one in (version, alias):
        definition(step(INVOKE, CHARGED)).check({"Charge": one})


def test_an_imported_table_is_asked_for_its_key(stack: Stack) -> None:
    theirs = dynamodb.Table.from_table_name(stack, "Theirs", "orders")
    definition(step("dynamodb:putItem", ON_A)).check({"A": theirs})
    warned(stack, "This table is imported.*from_table_attributes")


def test_an_imported_bucket_is_asked_for_its_key(stack: Stack) -> None:
    theirs = s3.Bucket.from_bucket_name(stack, "Theirs", "counts")
    definition(SPREAD | {"ItemReader": COUNTED}).check({"B": theirs})
    warned(stack, "This bucket is imported.*from_bucket_attributes")
