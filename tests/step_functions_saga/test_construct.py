"""The promises of the construct and of the demo's sagas that the template alone can show."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.step_functions_saga import graph, mapping
from serverless_patterns.patterns.step_functions_saga.construct import StepFunctionsSaga
from serverless_patterns.patterns.step_functions_saga.definition import Definition
from serverless_patterns.patterns.step_functions_saga.stack import FOLDER
from tests.inline import function

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RETRY = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
CATCH = {"ErrorEquals": ["States.ALL"], "Next": "Park"}
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
                "States": {
                    "Reserve": {
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
                },
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


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def to_file(machine: dict[str, Any]) -> Path:
        path = tmp_path / "saga.asl.json"
        path.write_text(json.dumps(machine))
        return path

    return to_file


@pytest.fixture
def saga(stack: Stack, write: Callable[[dict[str, Any]], Path]) -> Callable[..., StepFunctionsSaga]:
    """Make the pattern with the little saga above, or with a changed one."""

    def make(construct_id: str = "Pattern", machine: Any = None, **settings: Any) -> Any:
        settings.setdefault("definition", write(machine or SAGA))
        if "resources" not in settings:
            settings["resources"] = resources(stack, construct_id)
        return StepFunctionsSaga(stack, construct_id, **settings)

    return make


def table(stack: Stack, construct_id: str, **settings: Any) -> dynamodb.Table:
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(stack, construct_id, partition_key=key, **settings)


def resources(stack: Stack, prefix: str = "Pattern") -> dict[str, Any]:
    return {
        "Charge": function(stack, f"{prefix}Charge"),
        "Orders": table(stack, f"{prefix}Orders"),
        "Stock": table(stack, f"{prefix}Stock"),
    }


def changed(*path: str, **values: Any) -> dict[str, Any]:
    """Return the saga with fields of one state set, or removed when None."""
    machine = copy.deepcopy(SAGA)
    state: Any = machine
    for name in path:
        state = state.get("ItemProcessor", state)
        state = state["States"][name]
    for name, value in values.items():
        state.pop(name, None)
        if value is not None:
            state[name] = value
    return machine


def template(stack: Stack) -> Template:
    return Template.from_stack(stack)


def method(stack: Stack, verb: str = "POST") -> dict[str, Any]:
    found = template(stack).find_resources(
        "AWS::ApiGateway::Method", {"Properties": {"HttpMethod": verb}}
    )
    (resource,) = found.values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


def text(value: Any) -> str:
    """Return a template's text, with <the name> of each resource it refers to."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(text(part) for part in value["Fn::Join"][1])
    name = re.search(r'"(?:Ref|Fn::GetAtt)": \[?"(.+?)"', json.dumps(value))
    return f"<{name[1].rstrip('0123456789ABCDEF')}>" if name else ""


def statements(stack: Stack, role_or_policy: str) -> list[tuple[set[str], str]]:
    """Return actions and resource of each statement of the policies named like this."""
    found = []
    for name, policy in template(stack).find_resources("AWS::IAM::Policy").items():
        if role_or_policy not in name:
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            action = statement["Action"]
            actions = {action} if isinstance(action, str) else set(action)
            each = statement["Resource"]
            found += [(actions, text(one)) for one in (each if isinstance(each, list) else [each])]
    return found


# The sagas of the demo: what their comments promise

STANDARD = Definition.from_file(FOLDER / "order_fulfilment.asl.json")
EXPRESS = Definition.from_file(FOLDER / "counter_sale.asl.json")
STATES = STANDARD.machine["States"]


def undoing_after(state: str) -> list[str]:
    """Return the steps that undo when ``state`` fails for good, in their order."""
    (catch,) = (c for c in STATES[state]["Catch"] if c["ErrorEquals"] == ["States.ALL"])
    assert catch["Next"] == "BeginCancelling"
    assert STATES["BeginCancelling"]["Next"] == "UndoWhat?"
    choices = STATES["UndoWhat?"]["Choices"]
    first = next(
        (c["Next"] for c in choices if f"'{catch['Assign']['undo']}'" in c["Condition"]),
        STATES["UndoWhat?"]["Default"],
    )
    steps = [first]
    while STATES[steps[-1]]["Type"] != "Choice":
        steps.append(STATES[steps[-1]]["Next"])
    return steps[:-1]


@pytest.mark.parametrize(
    ("failed", "undone"),
    [
        ("OpenOrder", ["MarkCancelled"]),
        ("ReserveStock", ["ReleaseStock", "MarkCancelled"]),
        ("Charge", ["Refund", "ReleaseStock", "MarkCancelled"]),
        ("Ship", ["CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]),
        ("Confirm", ["CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]),
    ],
)
def test_a_failed_step_undoes_itself_and_what_was_before_it_in_reverse(
    failed: str, undone: list[str]
) -> None:
    assert undoing_after(failed) == undone


@pytest.mark.parametrize(
    "step", ["BeginCancelling", "CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]
)
def test_what_cannot_be_undone_is_parked(step: str) -> None:
    (catch,) = (c for c in STATES[step]["Catch"] if c["ErrorEquals"] == ["States.ALL"])
    assert catch["Next"] == "Park"
    assert catch["Assign"]["step"] == step


def test_a_parked_order_waits_for_a_person_and_is_then_undone_again() -> None:
    park = STATES["Park"]
    assert park["Resource"] == "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    assert park["Next"] == "BeginCancelling"
    # The message must outlive the wait: 13 of its 14 days.
    assert park["TimeoutSeconds"] == Duration.days(13).to_seconds()


def test_the_carrier_must_give_signs_of_life() -> None:
    ship = STATES["Ship"]
    assert ship["HeartbeatSeconds"] == Duration.minutes(15).to_seconds()
    assert ship["TimeoutSeconds"] == Duration.days(1).to_seconds()
    silent = ship["Catch"][0]
    assert silent["ErrorEquals"] == ["States.Timeout", "States.HeartbeatTimeout"]
    assert (silent["Assign"]["undo"], silent["Assign"]["reason"]) == ("shipment", "carrier_silent")
    assert ship["Retry"][0] == {"ErrorEquals": silent["ErrorEquals"], "MaxAttempts": 0}


@pytest.mark.parametrize("saga", [STANDARD, EXPRESS], ids=["standard", "express"])
def test_every_retry_has_a_limit_a_longest_wait_and_jitter(saga: Definition) -> None:
    for step in saga.steps:
        for retry in step.state["Retry"]:
            if retry["MaxAttempts"]:
                assert {"MaxDelaySeconds", "IntervalSeconds", "BackoffRate"} <= retry.keys()
                assert retry["JitterStrategy"] == "FULL"


@pytest.mark.parametrize("saga", [STANDARD, EXPRESS], ids=["standard", "express"])
def test_a_failed_condition_is_an_answer_and_not_retried(saga: Definition) -> None:
    for step in saga.steps:
        caught = [name for catch in step.state.get("Catch", []) for name in catch["ErrorEquals"]]
        for name in caught:
            if "ConditionalCheckFailed" in name:
                assert step.state["Retry"][0] == {"ErrorEquals": [name], "MaxAttempts": 0}


@pytest.mark.parametrize("saga", [STANDARD, EXPRESS], ids=["standard", "express"])
def test_every_next_state_exists_and_every_state_is_reached(saga: Definition) -> None:
    def check(machine: dict[str, Any]) -> None:
        reached = {machine["StartAt"]}
        for state in machine["States"].values():
            parts = [state, *state.get("Choices", []), *state.get("Catch", [])]
            reached |= {part[key] for part in parts for key in ("Next", "Default") if key in part}
            if "ItemProcessor" in state:
                check(state["ItemProcessor"])
        assert reached == set(machine["States"])

    check(saga.machine)


def test_the_counter_sale_differs_from_the_order_only_in_the_carrier_and_in_time() -> None:
    left_out = {"Ship", "Shipped?", "CancelShipment"}
    assert set(STATES) - set(EXPRESS.machine["States"]) == left_out
    for name in ("OpenOrder", "Charge", "BeginCancelling", "Refund", "Confirm", "MarkCancelled"):
        one, other = STATES[name], EXPRESS.machine["States"][name]
        assert (one["Resource"], one["Arguments"]) == (other["Resource"], other["Arguments"])


# The state machine


def test_a_placeholder_becomes_the_table_the_queue_or_the_function(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    template(stack).has_resource_properties(
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineType": "STANDARD",
            "DefinitionSubstitutions": {
                "Orders": {"Ref": Match.string_like_regexp("PatternOrders")},
                "Charge": {"Fn::GetAtt": [Match.string_like_regexp("PatternCharge"), "Arn"]},
                "ParkedQueue": {"Ref": Match.string_like_regexp("PatternParkedQueue")},
            },
        },
    )


def test_each_step_may_do_what_it_does_on_the_resource_it_names_and_nothing_else(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    granted = {
        (action, resource.strip("<>"))
        for actions, resource in statements(stack, "StateMachineRole")
        for action in actions
        if not action.startswith(("logs:", "xray:"))
    }
    assert granted == {
        ("lambda:InvokeFunction", "PatternCharge"),
        ("dynamodb:PutItem", "PatternOrders"),
        ("dynamodb:ConditionCheckItem", "PatternStock"),
        ("sqs:SendMessage", "PatternParkedQueue"),
    }


def test_a_customers_key_is_granted_with_its_table_or_queue(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    keys = [kms.Key(stack, name) for name in ("TableKey", "QueueKey")]
    found = resources(stack) | {"Orders": table(stack, "Encrypted", encryption_key=keys[0])}
    saga(resources=found, encryption_key=keys[1])
    granted = {
        resource.strip("<>")
        for actions, resource in statements(stack, "StateMachineRole")
        if "kms:Decrypt" in actions
    }
    assert granted == {"TableKey", "QueueKey"}


def test_executions_are_logged_and_traced_without_what_customers_sent(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    template(stack).has_resource_properties(
        "AWS::StepFunctions::StateMachine",
        {
            "LoggingConfiguration": {"Level": "ALL", "IncludeExecutionData": False},
            "TracingConfiguration": {"Enabled": True},
        },
    )
    template(stack).has_resource_properties(
        "AWS::Logs::LogGroup",
        {"RetentionInDays": 30, "LogGroupName": {"Fn::Join": Match.any_value()}},
    )
    (name,) = (
        text(group["Properties"]["LogGroupName"])
        for group in template(stack).find_resources("AWS::Logs::LogGroup").values()
        if "LogGroupName" in group["Properties"]
    )
    assert name.startswith("/aws/vendedlogs/states/")


def test_execution_data_is_logged_on_request(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(log_execution_data=True)
    template(stack).has_resource_properties(
        "AWS::StepFunctions::StateMachine", {"LoggingConfiguration": {"IncludeExecutionData": True}}
    )


def test_what_is_parked_is_kept_for_14_days_encrypted_and_never_sent_in_clear(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    template(stack).has_resource_properties(
        "AWS::SQS::Queue",
        {"MessageRetentionPeriod": 1_209_600, "SqsManagedSseEnabled": True},
    )
    template(stack).has_resource_properties(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like(
                        {
                            "Effect": "Deny",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    )
                ]
            }
        },
    )


# The API


def test_a_post_starts_an_execution_named_by_the_order(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(path="orders")
    integration = method(stack)["Integration"]
    assert text(integration["Uri"]).endswith(":states:action/StartExecution")
    rendered = text(integration["RequestTemplates"]["application/json"])
    machine = json.loads(rendered.replace('replaceAll("\\\\\'", "\'")', "unquoted()"))
    assert machine["name"].startswith("$!util.escapeJavaScript($!input.path('$.order_id'))")
    assert machine["input"].startswith("$!util.escapeJavaScript($!input.body)")
    assert "PatternStateMachine" in machine["stateMachineArn"]


@pytest.mark.parametrize(
    "rendered",
    [mapping.start_template("arn", "order_id"), mapping.describe_template("arn:", "name")],
)
def test_every_value_that_a_client_can_influence_is_escaped(rendered: str) -> None:
    assert rendered.count("$!input") == rendered.count("$!util.escapeJavaScript($!input")
    # What escapeJavaScript writes as \' JSON does not know.
    assert rendered.count("$!input") == rendered.count('.replaceAll("\\\\\'", "\'")')


def test_a_get_tells_the_status_without_what_the_client_sent(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(path="orders")
    integration = method(stack, "GET")["Integration"]
    assert text(integration["Uri"]).endswith(":states:action/DescribeExecution")
    answer = integration["IntegrationResponses"][0]["ResponseTemplates"]["application/json"]
    assert "'$.status'" in answer
    assert "'$.output'" in answer
    assert "'$.input'" not in answer
    template(stack).has_resource_properties("AWS::ApiGateway::Resource", {"PathPart": "{name}"})


@pytest.mark.parametrize(("express", "taken"), [(False, "202"), (True, "200")])
def test_only_an_answer_of_200_from_step_functions_becomes_a_2xx(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], express: bool, taken: str
) -> None:
    saga(express=express)
    properties = method(stack)
    answers = properties["Integration"]["IntegrationResponses"]
    assert [(a.get("SelectionPattern"), a["StatusCode"]) for a in answers] == [
        ("200", taken),
        ("400", "422"),
        (None, "502"),
    ]
    declared = {response["StatusCode"] for response in properties["MethodResponses"]}
    assert declared == {taken, "409", "422", "502", "503"}


def test_a_refusal_tells_the_clients_faults_from_ours() -> None:
    refused = mapping.start_responses(express=False)[1].response_templates
    assert refused
    answer = refused[mapping.JSON]
    assert "#set($status = 503)" in answer
    for code in mapping.CLIENT_FAULTS:
        assert f'#if($code == "{code}")#set($status = 422)#end' in answer
    assert '#if($code == "ExecutionAlreadyExists")#set($status = 409)#end' in answer
    asked = mapping.describe_responses()[1].response_templates
    assert asked
    assert '#if($code == "ExecutionDoesNotExist")#set($status = 404)#end' in asked[mapping.JSON]


def test_express_waits_for_the_outcome_and_says_when_it_failed(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(express=True)
    integration = method(stack)["Integration"]
    assert text(integration["Uri"]).endswith(":states:action/StartSyncExecution")
    answer = integration["IntegrationResponses"][0]["ResponseTemplates"]["application/json"]
    assert (
        "#if($input.path('$.status') != \"SUCCEEDED\")#set($context.responseOverride.status = 502)"
        in answer
    )
    assert not template(stack).find_resources(
        "AWS::ApiGateway::Method", {"Properties": {"HttpMethod": "GET"}}
    )


def test_anything_but_json_is_turned_away(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    integration = method(stack)["Integration"]
    assert integration["PassthroughBehavior"] == "NEVER"
    assert list(integration["RequestTemplates"]) == ["application/json"]


def test_a_body_that_breaks_the_schema_is_turned_away(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    schema = apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT, required=["order_id"])
    saga(schema=schema)
    template(stack).has_resource_properties(
        "AWS::ApiGateway::RequestValidator", {"ValidateRequestBody": True}
    )
    template(stack).has_resource_properties(
        "AWS::ApiGateway::Model", {"Schema": {"required": ["order_id"], "type": "object"}}
    )
    assert list(method(stack)["RequestModels"]) == ["application/json"]


@pytest.mark.parametrize(
    ("express", "may"),
    [(False, {"StartExecution", "DescribeExecution"}), (True, {"StartSyncExecution"})],
)
def test_the_api_may_start_and_describe_this_state_machine_only(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], express: bool, may: set[str]
) -> None:
    saga(express=express)
    granted = statements(stack, "ApiRole")
    assert {action for actions, _ in granted for action in actions} == {
        f"states:{name}" for name in may
    }
    assert all("PatternStateMachine" in resource for _, resource in granted)


@pytest.mark.parametrize("verb", ["POST", "GET"])
def test_requests_must_be_signed_by_default(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], verb: str
) -> None:
    saga()
    assert method(stack, verb)["AuthorizationType"] == "AWS_IAM"


@pytest.mark.parametrize("verb", ["POST", "GET"])
def test_an_authorizer_of_the_users_takes_the_place_of_iam(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], verb: str
) -> None:
    pool = cognito.UserPool(stack, "Pool")
    saga(
        authorizer=apigateway.CognitoUserPoolsAuthorizer(
            stack, "Authorizer", cognito_user_pools=[pool]
        )
    )
    assert method(stack, verb)["AuthorizationType"] == "COGNITO_USER_POOLS"


# The queue


def test_without_a_starter_there_is_no_queue(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    made = saga()
    assert made.queue is None
    template(stack).resource_count_is("AWS::SQS::Queue", 1)  # the parked queue
    with pytest.raises(ValueError, match="no starter"):
        _ = made.dead_letter_queue


def test_the_starter_may_start_and_reports_each_failed_message(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(starter=function(stack, "Starter"))
    template(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
    )
    template(stack).has_resource_properties(
        "AWS::SQS::Queue",
        {"VisibilityTimeout": 60, "RedrivePolicy": Match.object_like({"maxReceiveCount": 5})},
    )
    actions = {action for found, _ in statements(stack, "StarterServiceRole") for action in found}
    assert "states:StartExecution" in actions


def test_a_visibility_timeout_of_six_times_the_starters_is_enough(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga(starter=function(stack, "Starter"), visibility_timeout=Duration.seconds(60))
    with pytest.raises(ValueError, match="visibility_timeout is 59 s"):
        saga(
            "Other",
            starter=function(stack, "OtherStarter"),
            visibility_timeout=Duration.seconds(59),
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"visibility_timeout": Duration.seconds(60)},
        {"retention_period": Duration.days(1)},
        {"max_receive_count": 5},
        {"max_concurrency": 5},
        {"max_message_age": Duration.minutes(1)},
    ],
)
def test_settings_of_the_queue_without_a_starter_are_refused(
    saga: Callable[..., StepFunctionsSaga], settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="without starter"):
        saga(**settings)


# What is refused at synth


def test_the_little_saga_is_fine(saga: Callable[..., StepFunctionsSaga]) -> None:
    saga()
    saga("Express", express=True)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (SAGA | {"TimeoutSeconds": 60}, "TimeoutSeconds 60 for the whole execution"),
        (changed("Charge", TimeoutSeconds=None), "Charge has no TimeoutSeconds"),
        (changed("Charge", TimeoutSeconds="{% 5 %}"), "Charge has no TimeoutSeconds"),
        (changed("Lines", "Reserve", TimeoutSeconds=None), "Lines/Reserve has no TimeoutSeconds"),
        (changed("Park", HeartbeatSeconds=5), "HeartbeatSeconds 5 and TimeoutSeconds 5"),
        (changed("Charge", Retry=None), "Charge has no Retry"),
        (
            changed("Charge", Retry=[RETRY | {"ErrorEquals": ["States.Timeout"]}]),
            "Charge has no Retry",
        ),
        (
            changed("Charge", Retry=[{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]),
            "without JitterStrategy",
        ),
        (changed("Charge", Catch=None), "Charge has no Catch"),
        (
            changed("Charge", Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Park"}]),
            "Charge has no Catch",
        ),
        (changed("Lines", Catch=None), "Lines/Reserve has no Catch"),
        (changed("Lines", MaxConcurrency=None), "MaxConcurrency None"),
        (changed("Lines", MaxConcurrency=0), "MaxConcurrency 0"),
        (changed("Lines", MaxConcurrency=41), "MaxConcurrency 41"),
        (changed("Charge", TimeoutSeconds=10), "gives up after 10 s"),
        (
            changed("Charge", Resource="arn:aws:states:::sns:publish"),
            "no permission is derived",
        ),
        (
            changed("Charge", Arguments={"FunctionName": "charge", "Payload": {}}),
            "give it as a placeholder",
        ),
    ],
)
def test_a_saga_that_could_stay_half_done_is_refused(
    saga: Callable[..., StepFunctionsSaga], machine: dict[str, Any], message: str
) -> None:
    found = {**json.loads(json.dumps(machine)), "Comment": "${Charge}"}
    with pytest.raises(ValueError, match=message):
        saga(machine=found)


def test_a_heartbeat_shorter_than_the_timeout_is_taken(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    saga(machine=changed("Park", HeartbeatSeconds=4))


def test_express_refuses_to_wait_for_a_callback(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    machine = changed("Park", Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken")
    saga(machine=machine)
    with pytest.raises(ValueError, match="Park waits for a callback"):
        saga("Express", machine=machine, express=True)


def test_express_refuses_steps_that_could_take_longer_than_five_minutes(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    # Three tries each and two waits of 1 and 2 s: charge 36 s, park 18 s, so 246 s are left.
    saga(machine=changed("Lines", "Reserve", TimeoutSeconds=81), express=True)
    with pytest.raises(ValueError, match="take up to 303 s"):
        saga("Longer", machine=changed("Lines", "Reserve", TimeoutSeconds=82), express=True)


def test_a_resource_that_is_missing_or_not_used_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    found = resources(stack)
    with pytest.raises(ValueError, match="uses Stock, which resources does not name"):
        saga("Missing", resources={k: v for k, v in found.items() if k != "Stock"})
    with pytest.raises(ValueError, match="names Extra, which the definition does not use"):
        saga("Unused", resources=found | {"Extra": found["Stock"]})


def test_a_resource_that_no_step_can_use_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    found = resources(stack) | {"Thing": sns.Topic(stack, "Topic")}
    with pytest.raises(ValueError, match="is no table, queue or function"):
        saga("Thing", machine={**SAGA, "Comment": "${Thing}"}, resources=found)


def test_a_definition_that_is_no_json_is_refused(
    saga: Callable[..., StepFunctionsSaga], tmp_path: Path
) -> None:
    path = tmp_path / "broken.asl.json"
    path.write_text('{"Comment": "${ParkedQueue} ${Charge} ${Orders} ${Stock}",}')
    with pytest.raises(ValueError, match="not JSON"):
        saga(definition=path)


@pytest.mark.parametrize("name", ["", "a b", "order-id", "$.x", "x')", "ordér"])
def test_a_name_field_that_could_change_the_template_is_refused(
    saga: Callable[..., StepFunctionsSaga], name: str
) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        saga(name_field=name)


def test_a_nested_name_field_is_taken(stack: Stack, saga: Callable[..., StepFunctionsSaga]) -> None:
    saga(name_field="order.id")
    rendered = text(method(stack)["Integration"]["RequestTemplates"]["application/json"])
    assert "$!input.path('$.order.id')" in rendered


# Bring your own


def own_machine(stack: Stack, **settings: Any) -> stepfunctions.StateMachine:
    body = stepfunctions.DefinitionBody.from_string(json.dumps({"StartAt": "x", "States": {}}))
    return stepfunctions.StateMachine(stack, "Own", definition_body=body, **settings)


def test_a_state_machine_of_ones_own_is_started_and_watched(stack: Stack) -> None:
    made = StepFunctionsSaga(stack, "Pattern", state_machine=own_machine(stack))
    template(stack).resource_count_is("AWS::StepFunctions::StateMachine", 1)
    template(stack).resource_count_is("AWS::SQS::Queue", 0)
    assert made.parked_queue is None
    assert len(made.alarms) == 5
    with pytest.raises(ValueError, match="parked queue is not known"):
        made.grant_resolve(iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal()))


def test_an_imported_state_machine_is_started(stack: Stack) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:theirs"
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", arn)
    StepFunctionsSaga(stack, "Pattern", state_machine=machine)
    rendered = text(method(stack, "GET")["Integration"]["RequestTemplates"]["application/json"])
    assert ":execution:theirs:" in rendered


@pytest.mark.parametrize(
    "settings",
    [
        {"definition": "saga.asl.json"},
        {"resources": {}},
        {"log_execution_data": False},
    ],
)
def test_an_own_state_machine_with_settings_of_a_new_one_is_refused(
    stack: Stack, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="state_machine was given together with"):
        StepFunctionsSaga(stack, "Pattern", state_machine=own_machine(stack), **settings)


def test_an_own_state_machine_of_the_other_type_is_refused(stack: Stack) -> None:
    express = stepfunctions.StateMachineType.EXPRESS
    machine = own_machine(stack, state_machine_type=express)
    with pytest.raises(ValueError, match="Set express=True"):
        StepFunctionsSaga(stack, "Pattern", state_machine=machine)
    StepFunctionsSaga(stack, "Right", state_machine=machine, express=True)


def test_neither_a_definition_nor_a_state_machine_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Give definition"):
        StepFunctionsSaga(stack, "Pattern")


def test_a_parked_queue_of_ones_own_takes_what_cannot_be_undone(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    queue = sqs.Queue(stack, "Mine")
    assert saga(parked_queue=queue).parked_queue is queue
    template(stack).resource_count_is("AWS::SQS::Queue", 1)


@pytest.mark.parametrize(
    "settings", [{"rate_limit": 5}, {"burst_limit": 5}, {"cloud_watch_role": False}]
)
def test_an_own_api_with_settings_of_a_new_one_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], settings: dict[str, Any]
) -> None:
    api = apigateway.RestApi(stack, "Api")
    with pytest.raises(ValueError, match="api was given together with"):
        saga(api=api, **settings)


def test_an_own_queue_with_settings_of_a_new_one_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    queue = sqs.Queue(stack, "Mine")
    with pytest.raises(ValueError, match="queue was given together with"):
        saga(starter=function(stack, "Starter"), queue=queue, max_receive_count=5)


def test_an_own_queue_without_a_dead_letter_queue_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    with pytest.raises(ValueError, match="has no dead-letter queue"):
        saga(starter=function(stack, "Starter"), queue=sqs.Queue(stack, "Mine"))


def test_two_instances_fit_in_one_stack_and_share_an_api(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    first = saga("First", starter=function(stack, "FirstStarter"), path="first")
    saga("Second", starter=function(stack, "SecondStarter"), path="second", api=first.api)
    template(stack).resource_count_is("AWS::StepFunctions::StateMachine", 2)
    template(stack).resource_count_is("AWS::ApiGateway::RestApi", 1)


def test_the_construct_makes_no_outputs(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    saga()
    assert not template(stack).to_json().get("Outputs")


# Alarms and grants


def test_every_alarm_does_what_the_user_says(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    topic = sns.Topic(stack, "Topic")
    made = saga(
        starter=function(stack, "Starter"),
        alarm_actions=[cloudwatch_actions.SnsAction(topic)],
    )
    alarms = template(stack).find_resources("AWS::CloudWatch::Alarm")
    metrics = {alarm["Properties"]["MetricName"] for alarm in alarms.values()}
    assert metrics == {
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
        "ExecutionThrottled",
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
        "5XXError",
    }
    assert len(alarms) == len(made.alarms) == 8  # parked and dead-lettered count the same metric
    for alarm in alarms.values():
        assert alarm["Properties"]["AlarmActions"]
        assert alarm["Properties"]["AlarmDescription"]
        assert alarm["Properties"]["Dimensions"]


def test_a_client_and_a_person_get_what_they_need(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    made = saga()
    client = iam.Role(stack, "Client", assumed_by=iam.AccountRootPrincipal())
    person = iam.Role(stack, "Person", assumed_by=iam.AccountRootPrincipal())
    made.grant_execute(client)
    made.grant_resolve(person)
    called = {text(r) if r else "" for _, r in statements(stack, "ClientDefaultPolicy")}
    assert any("/POST/executions" in one for one in called)
    assert any("/GET/executions/*" in one for one in called)
    allowed = {a for actions, _ in statements(stack, "PersonDefaultPolicy") for a in actions}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "states:SendTaskSuccess"} <= allowed


def test_metrics_are_those_of_the_state_machine(saga: Callable[..., StepFunctionsSaga]) -> None:
    made = saga()
    assert made.metric_failed().metric_name == "ExecutionsFailed"
    assert made.metric_succeeded(period=Duration.minutes(1)).metric_name == "ExecutionsSucceeded"


def test_the_url_ends_in_the_path(stack: Stack, saga: Callable[..., StepFunctionsSaga]) -> None:
    assert text(stack.resolve(saga(path="orders").url)).endswith("/orders")


# The page


def test_the_page_shows_the_definition_as_it_is() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{graph.mermaid(STANDARD.machine)}```" in page


def test_the_diagram_names_every_state() -> None:
    drawn = graph.mermaid(EXPRESS.machine)
    for name in EXPRESS.machine["States"]:
        assert name.rstrip("?") in drawn
    assert drawn.count("fails") >= len([s for s in EXPRESS.steps if "Catch" in s.state]) - 1


# Queues, functions, tables and keys that the saga would fail on


WAIT = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


@pytest.mark.parametrize(("days", "accepted"), [(4, False), (12, False), (13, True), (14, True)])
def test_a_parked_queue_that_forgets_a_saga_that_waits_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], days: int, accepted: bool
) -> None:
    machine = changed("Park", Resource=WAIT, TimeoutSeconds=13 * 86_400)
    queue = sqs.Queue(stack, "Mine", retention_period=Duration.days(days))
    if accepted:
        assert saga(machine=machine, parked_queue=queue)
    else:
        with pytest.raises(ValueError, match=r"ParkedQueue keeps.*Park waits 1123200 s.*token"):
            saga(machine=machine, parked_queue=queue)


def test_no_queue_keeps_a_parked_saga_longer_than_14_days(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    fortnight = 14 * 86_400
    assert saga(machine=changed("Park", Resource=WAIT, TimeoutSeconds=fortnight))
    with pytest.raises(ValueError, match=f"keeps messages for {fortnight} s"):
        saga("Longer", machine=changed("Park", Resource=WAIT, TimeoutSeconds=fortnight + 1))


def test_a_heartbeat_ends_the_wait_for_a_message_that_is_gone(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    machine = changed("Park", Resource=WAIT, TimeoutSeconds=13 * 86_400, HeartbeatSeconds=900)
    assert saga(machine=machine, parked_queue=sqs.Queue(stack, "Mine"))


def test_a_parked_queue_that_nobody_waits_for_may_forget(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    assert saga(parked_queue=sqs.Queue(stack, "Mine", retention_period=Duration.minutes(1)))


PARKED = {"QueueUrl": "${ParkedQueue}", "MessageBody": "parked"}
GROUP = {"MessageGroupId": "{% $order.order_id %}"}
UNIQUE = {"MessageDeduplicationId": "{% $states.context.Execution.Id %}"}


@pytest.mark.parametrize(
    ("arguments", "by_content", "message"),
    [
        ({}, True, "no MessageGroupId"),
        (GROUP, None, "no MessageDeduplicationId"),
        (GROUP, True, None),
        (GROUP | UNIQUE, None, None),
    ],
)
def test_a_fifo_queue_that_would_refuse_the_message_is_refused(
    stack: Stack,
    saga: Callable[..., StepFunctionsSaga],
    arguments: dict[str, str],
    by_content: bool | None,
    message: str | None,
) -> None:
    queue = sqs.Queue(stack, "Mine", fifo=True, content_based_deduplication=by_content)
    machine = changed("Park", Arguments=PARKED | arguments)
    if message is None:
        assert saga(machine=machine, parked_queue=queue)
    else:
        with pytest.raises(ValueError, match=message):
            saga(machine=machine, parked_queue=queue)


@pytest.mark.parametrize(("reserved", "accepted"), [(0, False), (1, True)])
def test_a_function_of_a_step_that_may_not_run_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], reserved: int, accepted: bool
) -> None:
    charge = function(stack, "Reserved", reserved_concurrent_executions=reserved)
    found = resources(stack) | {"Charge": charge.add_alias("live")}
    if accepted:
        assert saga(resources=found)
    else:
        with pytest.raises(ValueError, match="function of step Charge reserves 0"):
            saga(resources=found)


def test_a_starter_that_may_not_run_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    with pytest.raises(ValueError, match="consumer reserves 0"):
        saga(starter=function(stack, "Starter", reserved_concurrent_executions=0))


def test_a_disabled_key_is_refused(stack: Stack, saga: Callable[..., StepFunctionsSaga]) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        saga(encryption_key=key)
    queue = sqs.Queue(stack, "Mine", encryption_master_key=key)
    with pytest.raises(ValueError, match="key of Stack/Mine is Stack/Key, which is disabled"):
        saga("Parked", parked_queue=queue)
    found = resources(stack, "Table") | {"Orders": table(stack, "Theirs", encryption_key=key)}
    with pytest.raises(ValueError, match="key of Stack/Theirs is Stack/Key, which is disabled"):
        saga("Table", resources=found)


def test_a_key_that_no_queue_would_use_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    key = kms.Key(stack, "Key")
    with pytest.raises(ValueError, match="no queue is new"):
        StepFunctionsSaga(stack, "Pattern", state_machine=own_machine(stack), encryption_key=key)
    with pytest.raises(ValueError, match="no queue is new"):
        saga("Parked", parked_queue=sqs.Queue(stack, "Mine"), encryption_key=key)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_limit": 0}, "rate_limit is 0"),
        ({"burst_limit": 0}, "burst_limit is 0"),
    ],
)
def test_a_limit_that_turns_every_request_away_is_refused(
    saga: Callable[..., StepFunctionsSaga], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        saga(**settings)


def test_no_receive_at_all_is_refused(stack: Stack, saga: Callable[..., StepFunctionsSaga]) -> None:
    with pytest.raises(ValueError, match="max_receive_count is 0"):
        saga(starter=function(stack, "Starter"), max_receive_count=0)


def test_a_resource_of_another_kind_is_refused(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    found = resources(stack)
    with pytest.raises(ValueError, match=r"Charge needs a function, but Charge .* is a Table"):
        saga(resources=found | {"Charge": found["Stock"]})


def test_a_definition_that_is_not_in_jsonata_is_refused(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    parameters = {"FunctionName": "${Charge}", "Payload": {}}
    machine = changed("Charge", Arguments=None, Parameters=parameters)
    with pytest.raises(ValueError, match="Charge has no FunctionName in its Arguments"):
        saga(machine=machine)


def test_arguments_that_only_run_time_knows_are_refused(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    arguments = "{% {'FunctionName': '${Charge}'} %}"
    with pytest.raises(ValueError, match="Charge has no FunctionName in its Arguments"):
        saga(machine=changed("Charge", Arguments=arguments))
    with pytest.raises(ValueError, match="Charge names its resource 5"):
        saga("Number", machine=changed("Charge", Arguments={"FunctionName": 5, "In": "${Charge}"}))


@pytest.mark.parametrize(
    "items",
    [
        "{% $map($lines, function($l) { {'Put': {'TableName': '${Orders}${Stock}'}} }) %}",
        ["{% {'Put': {'TableName': '${Orders}${Stock}'}} %}"],
        [{"Put": "{% {'TableName': '${Orders}${Stock}'} %}"}],
        [{"Put": {"Item": "${Orders}${Stock}"}}],
        [{"put": {"TableName": "${Orders}"}}, {"Put": {"TableName": "${Stock}"}}],
    ],
)
def test_writes_that_only_run_time_knows_are_refused(
    saga: Callable[..., StepFunctionsSaga], items: object
) -> None:
    machine = copy.deepcopy(SAGA)
    step = machine["States"]["Lines"]["ItemProcessor"]["States"]["Reserve"]
    step["Arguments"]["TransactItems"] = items
    with pytest.raises(ValueError, match=r"Lines/Reserve has TransactItems .* not written out"):
        saga(machine=machine)


def test_steps_below_a_maps_old_iterator_are_checked_too(
    saga: Callable[..., StepFunctionsSaga],
) -> None:
    machine = copy.deepcopy(SAGA)
    lines = machine["States"]["Lines"]
    lines["Iterator"] = lines.pop("ItemProcessor")
    del lines["Iterator"]["States"]["Reserve"]["TimeoutSeconds"]
    with pytest.raises(ValueError, match="Lines/Reserve has no TimeoutSeconds"):
        saga(machine=machine)


def test_a_heartbeat_that_is_no_number_is_refused(saga: Callable[..., StepFunctionsSaga]) -> None:
    with pytest.raises(ValueError, match="whole number"):
        saga(machine=changed("Park", HeartbeatSeconds="{% 4 %}"))


# What is imported is used with a warning of what it needs


def warned(stack: Stack, pattern: str) -> None:
    Annotations.from_stack(stack).has_warning("/Stack/Theirs", Match.string_like_regexp(pattern))


@pytest.mark.parametrize(("express", "kind"), [(False, "STANDARD"), (True, "EXPRESS")])
def test_an_imported_state_machine_is_told_its_type(stack: Stack, express: bool, kind: str) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:theirs"
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", arn)
    StepFunctionsSaga(stack, "Pattern", state_machine=machine, express=express)
    warned(stack, f"must be {kind}, since express is {express}")


def test_an_imported_function_is_told_when_its_step_gives_up(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    theirs = lambda_.Function.from_function_name(stack, "Theirs", "charge")
    saga(resources=resources(stack) | {"Charge": theirs})
    warned(stack, "end within 11 s, when step Charge gives up.*reserve 0")


@pytest.mark.parametrize(
    ("resource", "told"),
    [(WAIT, "waits 5 s.*keep messages at least that long"), (None, "retention period only")],
)
def test_an_imported_parked_queue_is_told_how_long_it_must_keep_messages(
    stack: Stack, saga: Callable[..., StepFunctionsSaga], resource: str | None, told: str
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:parked"
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", arn)
    saga(machine=changed("Park", Resource=resource) if resource else SAGA, parked_queue=queue)
    warned(stack, f"{told}.*key_arn")


def test_an_imported_table_is_asked_for_its_key(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    theirs = dynamodb.Table.from_table_name(stack, "Theirs", "orders")
    saga(resources=resources(stack) | {"Orders": theirs})
    warned(stack, "customer key.*from_table_attributes")


def test_an_imported_api_must_be_deployed_again(
    stack: Stack, saga: Callable[..., StepFunctionsSaga]
) -> None:
    api = apigateway.RestApi.from_rest_api_attributes(
        stack, "Theirs", rest_api_id="theirs", root_resource_id="root"
    )
    saga(api=api)
    warned(stack, "deployed again")
