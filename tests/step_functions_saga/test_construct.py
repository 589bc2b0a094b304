"""The promises of the construct and of the demo's sagas that the template alone can show."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.blocks.rest import Endpoint, RequestField
from serverless_patterns.patterns.step_functions_saga import graph, mapping
from serverless_patterns.patterns.step_functions_saga.construct import StepFunctionsSaga
from serverless_patterns.patterns.step_functions_saga.definition import Definition
from serverless_patterns.patterns.step_functions_saga.stack import FOLDER
from tests.inline import function
from tests.step_functions_saga.builds import RETRY, SAGA, changed, make, resources, table


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


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


def test_a_placeholder_becomes_the_table_the_queue_or_the_function(stack: Stack) -> None:
    make(stack)
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
    stack: Stack,
) -> None:
    make(stack)
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


def test_a_customers_key_is_granted_with_its_table_or_queue(stack: Stack) -> None:
    keys = [kms.Key(stack, name) for name in ("TableKey", "QueueKey")]
    found = resources(stack) | {"Orders": table(stack, "Encrypted", encryption_key=keys[0])}
    make(stack, resources=found, encryption_key=keys[1])
    granted = {
        resource.strip("<>")
        for actions, resource in statements(stack, "StateMachineRole")
        if "kms:Decrypt" in actions
    }
    assert granted == {"TableKey", "QueueKey"}


def test_executions_are_logged_and_traced_without_what_customers_sent(stack: Stack) -> None:
    make(stack)
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


def test_execution_data_is_logged_on_request(stack: Stack) -> None:
    make(stack, log_execution_data=True)
    template(stack).has_resource_properties(
        "AWS::StepFunctions::StateMachine", {"LoggingConfiguration": {"IncludeExecutionData": True}}
    )


# The API


def test_a_post_starts_an_execution_named_by_the_order(stack: Stack) -> None:
    make(stack)
    integration = method(stack)["Integration"]
    assert text(integration["Uri"]).endswith(":states:action/StartExecution")
    rendered = text(integration["RequestTemplates"]["application/json"])
    machine = json.loads(rendered.replace('replaceAll("\\\\\'", "\'")', "unquoted()"))
    assert machine["name"].startswith("$!util.escapeJavaScript($!input.path('$.order_id'))")
    assert machine["input"].startswith("$!util.escapeJavaScript($!input.body)")
    assert "PatternStateMachine" in machine["stateMachineArn"]


@pytest.mark.parametrize(
    "call",
    [
        mapping.start("arn", RequestField.body("order_id"), express=False),
        mapping.start("arn", RequestField.body("order_id"), express=True),
        mapping.describe("arn:", "name"),
    ],
)
def test_every_value_that_a_client_can_influence_is_escaped(call: Any) -> None:
    influenced = re.findall(r"\$!?(?:input|context\.(?:path|identity))", call.request)
    assert len(influenced) in (1, 2)
    escaped = re.findall(r"\$!util\.escapeJavaScript\(\$!input", call.request)
    # What escapeJavaScript writes as \' JSON does not know.
    assert len(influenced) == len(escaped) == call.request.count('.replaceAll("\\\\\'", "\'")')


def test_a_get_tells_the_status_without_what_the_client_sent(stack: Stack) -> None:
    make(stack, endpoint=Endpoint("orders"))
    integration = method(stack, "GET")["Integration"]
    assert text(integration["Uri"]).endswith(":states:action/DescribeExecution")
    answer = integration["IntegrationResponses"][0]["ResponseTemplates"]["application/json"]
    assert "'$.status'" in answer
    assert "'$.output'" in answer
    assert "'$.input'" not in answer
    template(stack).has_resource_properties("AWS::ApiGateway::Resource", {"PathPart": "{name}"})


def test_a_refusal_tells_the_clients_faults_from_ours() -> None:
    start = mapping.start("arn", RequestField.body("order_id"), express=False)
    assert start.client_faults == {
        "InvalidExecutionInput": 422,
        "InvalidName": 422,
        "ValidationException": 422,
        "ExecutionAlreadyExists": 409,
    }
    refusal = start.responses()[1].response_templates
    assert refusal
    conflict = '#if($code == "ExecutionAlreadyExists")#set($context.responseOverride.status = 409)'
    assert conflict in refusal["application/json"]
    missing = mapping.describe("arn:", "name").responses()[1].response_templates
    assert missing
    either = '#if($code == "ExecutionDoesNotExist" || $code == "InvalidArn" || '
    assert either in missing["application/json"]


def test_express_waits_for_the_outcome_and_says_when_it_failed(stack: Stack) -> None:
    make(stack, express=True)
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


@pytest.mark.parametrize(
    ("express", "may"),
    [(False, {"StartExecution", "DescribeExecution"}), (True, {"StartSyncExecution"})],
)
def test_the_api_may_start_and_describe_this_state_machine_only(
    stack: Stack, express: bool, may: set[str]
) -> None:
    make(stack, express=express)
    granted = statements(stack, "EntryRole")
    assert {action for actions, _ in granted for action in actions} == {
        f"states:{name}" for name in may
    }
    assert all("PatternStateMachine" in resource for _, resource in granted)


# The queue


def test_without_a_starter_there_is_no_queue(stack: Stack) -> None:
    assert make(stack).intake is None
    template(stack).resource_count_is("AWS::SQS::Queue", 1)  # the parked queue
    with pytest.raises(ValueError, match="queue was given without starter"):
        make(stack, "Other", queue=NewQueue())


def test_the_starter_may_start_executions(stack: Stack) -> None:
    make(stack, starter=function(stack, "Starter"))
    actions = {action for found, _ in statements(stack, "StarterServiceRole") for action in found}
    assert "states:StartExecution" in actions


# What is refused at synth


def test_the_little_saga_is_fine(stack: Stack) -> None:
    make(stack)
    make(stack, "Express", express=True)


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
def test_a_saga_that_could_stay_half_done_is_rejected(
    stack: Stack, machine: dict[str, Any], message: str
) -> None:
    found = {**json.loads(json.dumps(machine)), "Comment": "${Charge}"}
    with pytest.raises(ValueError, match=message):
        make(stack, machine=found)


def test_a_heartbeat_shorter_than_the_timeout_is_accepted(stack: Stack) -> None:
    make(stack, machine=changed("Park", HeartbeatSeconds=4))


def test_express_rejects_a_step_that_waits_for_a_callback(stack: Stack) -> None:
    machine = changed("Park", Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken")
    make(stack, machine=machine)
    with pytest.raises(ValueError, match=r"Park waits for .*which an Express state machine cannot"):
        make(stack, "Express", machine=machine, express=True)


def test_express_rejects_steps_that_could_take_longer_than_five_minutes(stack: Stack) -> None:
    # Three tries each and two waits of 1 and 2 s: charge 36 s, park 18 s, so 246 s are left.
    make(stack, machine=changed("Lines", "Reserve", TimeoutSeconds=81), express=True)
    with pytest.raises(ValueError, match="take up to 303 s"):
        make(stack, "Longer", machine=changed("Lines", "Reserve", TimeoutSeconds=82), express=True)


def test_a_resource_that_is_missing_or_not_used_is_rejected(stack: Stack) -> None:
    found = resources(stack)
    with pytest.raises(ValueError, match="uses Stock, which resources does not name"):
        make(stack, "Missing", resources={k: v for k, v in found.items() if k != "Stock"})
    with pytest.raises(ValueError, match="names Extra, which the definition does not use"):
        make(stack, "Unused", resources=found | {"Extra": found["Stock"]})


def test_a_resource_that_no_step_can_use_is_rejected(stack: Stack) -> None:
    found = resources(stack) | {"Thing": sns.Topic(stack, "Topic")}
    with pytest.raises(ValueError, match="is no table, queue or function"):
        make(stack, "Thing", machine={**SAGA, "Comment": "${Thing}"}, resources=found)


def test_a_definition_that_is_no_json_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        make(stack, machine='{"Comment": "${ParkedQueue} ${Charge} ${Orders} ${Stock}",}')


@pytest.mark.parametrize("name", ["", "a b", "order-id", "$.x", "x')", "ordér"])
def test_a_name_field_that_could_change_the_template_is_rejected(stack: Stack, name: str) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        make(stack, name_field=name)


def test_a_nested_name_field_is_accepted(stack: Stack) -> None:
    make(stack, name_field="order.id")
    rendered = text(method(stack)["Integration"]["RequestTemplates"]["application/json"])
    assert "$!input.path('$.order.id')" in rendered


# Bring your own


def own_machine(stack: Stack, **settings: Any) -> stepfunctions.StateMachine:
    body = stepfunctions.DefinitionBody.from_string(json.dumps({"StartAt": "x", "States": {}}))
    return stepfunctions.StateMachine(stack, "Own", definition_body=body, **settings)


def test_a_state_machine_of_ones_own_is_started_and_watched(stack: Stack) -> None:
    made = StepFunctionsSaga(stack, "Pattern", saga=own_machine(stack))
    template(stack).resource_count_is("AWS::StepFunctions::StateMachine", 1)
    template(stack).resource_count_is("AWS::SQS::Queue", 0)
    assert made.parked_queue is None
    assert len(made.alarms) == 5
    with pytest.raises(ValueError, match="parked queue is not known"):
        made.grant_resolve(iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal()))


def test_an_imported_state_machine_is_started(stack: Stack) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:theirs"
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", arn)
    StepFunctionsSaga(stack, "Pattern", saga=machine)
    rendered = text(method(stack, "GET")["Integration"]["RequestTemplates"]["application/json"])
    assert ":execution:theirs:" in rendered


def test_an_own_state_machine_of_the_other_type_is_rejected(stack: Stack) -> None:
    express = stepfunctions.StateMachineType.EXPRESS
    machine = own_machine(stack, state_machine_type=express)
    with pytest.raises(ValueError, match="Set express=True"):
        StepFunctionsSaga(stack, "Pattern", saga=machine)
    StepFunctionsSaga(stack, "Right", saga=machine, express=True)


def test_a_parked_queue_of_ones_own_takes_what_cannot_be_undone(stack: Stack) -> None:
    queue = sqs.Queue(stack, "Mine")
    assert make(stack, parked_queue=queue).parked_queue is queue
    template(stack).resource_count_is("AWS::SQS::Queue", 1)


# Alarms and grants


def test_a_client_and_a_person_get_what_they_need(stack: Stack) -> None:
    made = make(stack)
    client = iam.Role(stack, "Client", assumed_by=iam.AccountRootPrincipal())
    person = iam.Role(stack, "Person", assumed_by=iam.AccountRootPrincipal())
    made.grant_execute(client)
    made.grant_resolve(person)
    called = {text(r) if r else "" for _, r in statements(stack, "ClientDefaultPolicy")}
    assert any("/POST/executions" in one for one in called)
    assert any("/GET/executions/*" in one for one in called)
    allowed = {a for actions, _ in statements(stack, "PersonDefaultPolicy") for a in actions}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "states:SendTaskSuccess"} <= allowed


def test_metrics_are_those_of_the_state_machine(stack: Stack) -> None:
    made = make(stack)
    assert made.metric_failed().metric_name == "ExecutionsFailed"
    assert made.metric_succeeded(period=Duration.minutes(1)).metric_name == "ExecutionsSucceeded"


def test_the_url_ends_in_the_path(stack: Stack) -> None:
    assert text(stack.resolve(make(stack, endpoint=Endpoint("orders")).url)).endswith("/orders")


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
def test_a_parked_queue_that_forgets_a_saga_that_waits_is_rejected(
    stack: Stack, days: int, accepted: bool
) -> None:
    machine = changed("Park", Resource=WAIT, TimeoutSeconds=13 * 86_400)
    queue = sqs.Queue(stack, "Mine", retention_period=Duration.days(days))
    if accepted:
        assert make(stack, machine=machine, parked_queue=queue)
    else:
        with pytest.raises(ValueError, match=r"ParkedQueue keeps.*Park waits 1123200 s.*token"):
            make(stack, machine=machine, parked_queue=queue)


def test_no_queue_keeps_a_parked_saga_longer_than_14_days(stack: Stack) -> None:
    fortnight = 14 * 86_400
    assert make(stack, machine=changed("Park", Resource=WAIT, TimeoutSeconds=fortnight))
    with pytest.raises(ValueError, match=f"keeps messages for {fortnight} s"):
        make(stack, "Longer", machine=changed("Park", Resource=WAIT, TimeoutSeconds=fortnight + 1))


def test_a_heartbeat_ends_the_wait_for_a_message_that_is_gone(stack: Stack) -> None:
    machine = changed("Park", Resource=WAIT, TimeoutSeconds=13 * 86_400, HeartbeatSeconds=900)
    assert make(stack, machine=machine, parked_queue=sqs.Queue(stack, "Mine"))


def test_a_parked_queue_that_nobody_waits_for_may_forget(stack: Stack) -> None:
    assert make(stack, parked_queue=sqs.Queue(stack, "Mine", retention_period=Duration.minutes(1)))


PARKED = {"QueueUrl": "${ParkedQueue}", "MessageBody": "parked"}
GROUP = {"MessageGroupId": "{% $order.order_id %}"}
UNIQUE = {"MessageDeduplicationId": "{% $states.context.Execution.Id %}"}


@pytest.mark.parametrize(
    ("arguments", "by_content", "message"),
    [
        ({}, True, "without MessageGroupId"),
        (GROUP, None, "without MessageDeduplicationId"),
        (GROUP, True, None),
        (GROUP | UNIQUE, None, None),
    ],
)
def test_a_fifo_queue_that_would_reject_the_message_is_rejected(
    stack: Stack,
    arguments: dict[str, str],
    by_content: bool | None,
    message: str | None,
) -> None:
    queue = sqs.Queue(stack, "Mine", fifo=True, content_based_deduplication=by_content)
    machine = changed("Park", Arguments=PARKED | arguments)
    if message is None:
        assert make(stack, machine=machine, parked_queue=queue)
    else:
        with pytest.raises(ValueError, match=message):
            make(stack, machine=machine, parked_queue=queue)


@pytest.mark.parametrize(("reserved", "accepted"), [(0, False), (1, True)])
def test_a_function_of_a_step_that_may_not_run_is_rejected(
    stack: Stack, reserved: int, accepted: bool
) -> None:
    charge = function(stack, "Reserved", reserved_concurrent_executions=reserved)
    found = resources(stack) | {"Charge": charge.add_alias("live")}
    if accepted:
        assert make(stack, resources=found)
    else:
        with pytest.raises(ValueError, match="function of step Charge reserves 0"):
            make(stack, resources=found)


def test_a_disabled_key_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        make(stack, encryption_key=key)
    queue = sqs.Queue(stack, "Mine", encryption_master_key=key)
    with pytest.raises(ValueError, match="key of Stack/Mine is Stack/Key, which is disabled"):
        make(stack, "Parked", parked_queue=queue)
    found = resources(stack, "Table") | {"Orders": table(stack, "Theirs", encryption_key=key)}
    with pytest.raises(ValueError, match="key of Stack/Theirs is Stack/Key, which is disabled"):
        make(stack, "Table", resources=found)


def test_a_key_that_no_queue_would_use_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="encryption_key was given together with parked_queue"):
        make(stack, parked_queue=sqs.Queue(stack, "Mine"), encryption_key=kms.Key(stack, "Key"))


def test_a_resource_of_another_kind_is_rejected(stack: Stack) -> None:
    found = resources(stack)
    with pytest.raises(ValueError, match=r"Charge needs a function, but Charge .* is a Table"):
        make(stack, resources=found | {"Charge": found["Stock"]})


def test_a_definition_that_is_not_in_jsonata_is_rejected(stack: Stack) -> None:
    parameters = {"FunctionName": "${Charge}", "Payload": {}}
    machine = changed("Charge", Arguments=None, Parameters=parameters)
    with pytest.raises(ValueError, match="Charge has no FunctionName in its Arguments"):
        make(stack, machine=machine)


def test_arguments_that_only_run_time_knows_are_rejected(stack: Stack) -> None:
    arguments = "{% {'FunctionName': '${Charge}'} %}"
    with pytest.raises(ValueError, match="Charge has no FunctionName in its Arguments"):
        make(stack, machine=changed("Charge", Arguments=arguments))
    with pytest.raises(ValueError, match="Charge names its resource 5"):
        make(
            stack,
            "Number",
            machine=changed("Charge", Arguments={"FunctionName": 5, "In": "${Charge}"}),
        )


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
def test_writes_that_only_run_time_knows_are_rejected(stack: Stack, items: object) -> None:
    machine = copy.deepcopy(SAGA)
    step = machine["States"]["Lines"]["ItemProcessor"]["States"]["Reserve"]
    step["Arguments"]["TransactItems"] = items
    with pytest.raises(ValueError, match=r"Lines/Reserve has TransactItems .* not written out"):
        make(stack, machine=machine)


def test_steps_below_a_maps_old_iterator_are_checked_too(stack: Stack) -> None:
    machine = copy.deepcopy(SAGA)
    lines = machine["States"]["Lines"]
    lines["Iterator"] = lines.pop("ItemProcessor")
    del lines["Iterator"]["States"]["Reserve"]["TimeoutSeconds"]
    with pytest.raises(ValueError, match="Lines/Reserve has no TimeoutSeconds"):
        make(stack, machine=machine)


def test_a_heartbeat_that_is_no_number_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="whole number"):
        make(stack, machine=changed("Park", HeartbeatSeconds="{% 4 %}"))


# What is imported is used with a warning of what it needs


def warned(stack: Stack, pattern: str) -> None:
    Annotations.from_stack(stack).has_warning("/Stack/Theirs", Match.string_like_regexp(pattern))


@pytest.mark.parametrize(("express", "kind"), [(False, "STANDARD"), (True, "EXPRESS")])
def test_an_imported_state_machine_is_told_its_type(stack: Stack, express: bool, kind: str) -> None:
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:theirs"
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", arn)
    StepFunctionsSaga(stack, "Pattern", saga=machine, express=express)
    warned(stack, f"must be {kind}, since express is {express}")


def test_an_imported_function_is_told_when_its_step_gives_up(stack: Stack) -> None:
    theirs = lambda_.Function.from_function_name(stack, "Theirs", "charge")
    make(stack, resources=resources(stack) | {"Charge": theirs})
    warned(stack, "end within 11 s, when step Charge gives up.*reserve 0")


@pytest.mark.parametrize(
    ("resource", "told"),
    [(WAIT, "waits 5 s.*keep messages at least that long"), (None, "retention period only")],
)
def test_an_imported_parked_queue_is_told_how_long_it_must_keep_messages(
    stack: Stack, resource: str | None, told: str
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:parked"
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", arn)
    make(
        stack, machine=changed("Park", Resource=resource) if resource else SAGA, parked_queue=queue
    )
    warned(stack, f"{told}.*key_arn")


def test_an_imported_table_is_asked_for_its_key(stack: Stack) -> None:
    theirs = dynamodb.Table.from_table_name(stack, "Theirs", "orders")
    make(stack, resources=resources(stack) | {"Orders": theirs})
    warned(stack, "customer key.*from_table_attributes")
