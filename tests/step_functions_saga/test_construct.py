"""The promises of the construct and of the demo's sagas beyond those of every construct."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.definitions import Definition
from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.step_functions_saga.construct import StepFunctionsSaga
from serverless_patterns.patterns.step_functions_saga.stack import FOLDER
from tests.contracts.test_places import deployable, every_layout
from tests.inline import function, granted, only, properties, text, warned
from tests.sagas import SAGA, changed, table
from tests.step_functions_saga.builds import make

WAIT = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
THEIRS = "arn:aws:states:us-east-1:123456789012:stateMachine:theirs"
DAY = 86_400


@functools.cache
def made(*, express: bool = False) -> tuple[StepFunctionsSaga, Template]:
    """The construct with a starter, a client and a person, and its template: made once."""
    stack = Stack(App(), "Stack")
    saga = make(stack, express=express, starter=function(stack, "Starter"))
    us, roles = iam.AccountRootPrincipal(), ("Client", "Person")
    client, person = (iam.Role(stack, name, assumed_by=us) for name in roles)
    saga.grant_execute(client)
    saga.grant_resolve(person)
    return saga, Template.from_stack(stack)


# The sagas of the demo

STANDARD = Definition.from_file(FOLDER / "order_fulfilment.asl.json")
EXPRESS = Definition.from_file(FOLDER / "counter_sale.asl.json")
STATES = STANDARD.machine["States"]


def ways(state: str, following: str) -> list[dict[str, Any]]:
    """Return how a state goes on to the following one: its catches, choices and default."""
    found = STATES[state]
    every = [*found.get("Catch", []), *found.get("Choices", []), {"Next": found.get("Default")}]
    return [{**found, **way} for way in every if way["Next"] == following]


@pytest.mark.parametrize(
    ("left", "undone"),
    [
        ("OpenOrder", ["MarkCancelled"]),
        ("ReserveStock", ["ReleaseStock", "MarkCancelled"]),
        ("Reserved?", ["ReleaseStock", "MarkCancelled"]),
        ("Charge", ["Refund", "ReleaseStock", "MarkCancelled"]),
        ("Charged?", ["ReleaseStock", "MarkCancelled"]),
        ("Ship", ["CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]),
        ("Shipped?", ["Refund", "ReleaseStock", "MarkCancelled"]),
        ("Confirm", ["CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]),
        ("Known?", ["CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]),
    ],
)
def test_a_failed_step_undoes_itself_and_what_was_before_it_in_reverse(
    left: str, undone: list[str]
) -> None:
    found, choice = ways(left, "BeginCancelling"), STATES["UndoWhat?"]
    assert found[-1].get("ErrorEquals", ["States.ALL"]) == ["States.ALL"]
    too_large = [way for way in found if way.get("ErrorEquals") == ["States.DataLimitExceeded"]]
    assert all(way["Assign"] == found[-1]["Assign"] for way in too_large)
    assert STATES["BeginCancelling"]["Next"] == "UndoWhat?"
    for way in found:
        chosen = [c["Next"] for c in choice["Choices"] if f"'{way['Assign']['undo']}'" in str(c)]
        steps = [*chosen, choice["Default"]][:1]
        while STATES[steps[-1]]["Type"] != "Choice":
            steps.append(STATES[steps[-1]]["Next"])
        assert steps[:-1] == undone


@pytest.mark.parametrize("definition", [STANDARD, EXPRESS])
def test_a_line_is_reserved_once_and_only_while_there_are_parts(definition: Definition) -> None:
    lines = definition.machine["States"]["ReserveStock"]["ItemProcessor"]["States"]
    held, taken = lines["ReserveLine"]["Arguments"]["TransactItems"]
    assert held["Put"]["ConditionExpression"] == "attribute_not_exists(id)"
    assert taken["Update"]["ConditionExpression"] == "available >= :quantity"


@pytest.mark.parametrize(
    "step", ["BeginCancelling", "CancelShipment", "Refund", "ReleaseStock", "MarkCancelled"]
)
def test_what_cannot_be_undone_is_parked(step: str) -> None:
    caught = ways(step, "Park")
    assert ["States.ALL"] in [way["ErrorEquals"] for way in caught]
    assert {way["Assign"]["step"] for way in caught} == {step}


def test_a_parked_order_waits_for_a_person_and_is_then_undone_again() -> None:
    park = STATES["Park"]
    assert (park["Resource"], park["Next"]) == (WAIT, "BeginCancelling")
    assert park["TimeoutSeconds"] == 13 * DAY  # the message outlives the wait: SQS keeps it for 14


def test_the_carrier_must_give_signs_of_life() -> None:
    ship = STATES["Ship"]
    assert (ship["HeartbeatSeconds"], ship["TimeoutSeconds"]) == (900, DAY)
    silent = ship["Catch"][0]
    assert silent["ErrorEquals"] == ["States.Timeout", "States.HeartbeatTimeout"]
    assert (silent["Assign"]["undo"], silent["Assign"]["reason"]) == ("shipment", "carrier_silent")
    assert ship["Retry"][0] == {"ErrorEquals": silent["ErrorEquals"], "MaxAttempts": 0}


def test_the_counter_sale_differs_from_the_order_only_in_the_carrier_and_in_time() -> None:
    others = EXPRESS.machine["States"]
    assert set(STATES) - set(others) == {"Ship", "Shipped?", "CancelShipment"}
    for name in ("OpenOrder", "Charge", "BeginCancelling", "Refund", "Confirm", "MarkCancelled"):
        for field in ("Resource", "Arguments"):
            assert STATES[name][field] == others[name][field]


# The state machine


def test_a_placeholder_becomes_the_table_the_queue_or_the_function() -> None:
    machine = only(made()[1], "AWS::StepFunctions::StateMachine")
    assert machine["StateMachineType"] == "STANDARD"
    given = machine["DefinitionSubstitutions"]
    resources = {name: value for name, value in given.items() if not name.startswith("Call")}
    assert {name: (*value, text(value)) for name, value in resources.items()} == {
        "Orders": ("Ref", "<PatternOrders>"),
        "Stock": ("Ref", "<PatternStock>"),
        "Charge": ("Fn::GetAtt", "<PatternCharge>"),
        "ParkedQueue": ("Ref", "<PatternParkedQueue>"),
    }


def test_each_step_may_do_what_it_does_on_the_resource_it_names_and_nothing_else() -> None:
    found = granted(made()[1], "StateMachineRole")
    assert {pair for pair in found if not pair[0].startswith(("logs:", "xray:"))} == {
        ("lambda:InvokeFunction", "<PatternCharge>"),
        ("dynamodb:PutItem", "<PatternOrders>"),
        ("dynamodb:ConditionCheckItem", "<PatternStock>"),
        ("sqs:SendMessage", "<PatternParkedQueue>"),
    }


def test_executions_are_logged_and_traced_without_what_customers_sent() -> None:
    template = made()[1]
    machine = only(template, "AWS::StepFunctions::StateMachine")
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert machine["TracingConfiguration"] == {"Enabled": True}
    named = Match.any_value()
    group = only(template, "AWS::Logs::LogGroup", RetentionInDays=30, LogGroupName=named)
    assert text(group["LogGroupName"]).startswith("/aws/vendedlogs/states/")


def test_execution_data_is_logged_on_request(stack: Stack) -> None:
    make(stack, log_execution_data=True)
    (machine,) = properties(stack, "StepFunctions::StateMachine")
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is True


def test_a_customers_key_encrypts_the_parked_queue_and_may_be_used(stack: Stack) -> None:
    make(stack, encryption_key=kms.Key(stack, "Key"))
    template = Template.from_stack(stack)
    assert text(only(template, "AWS::SQS::Queue")["KmsMasterKeyId"]) == "<Key>"
    assert ("kms:Decrypt", "<Key>") in granted(template, "StateMachineRole")


def test_a_field_of_your_choice_names_the_execution_unless_it_could_change_the_template(
    stack: Stack,
) -> None:
    make(stack, name_field="order.id")
    assert "'$.order.id'" in json.dumps(Template.from_stack(stack).to_json())
    with pytest.raises(ValueError, match="use letters"):
        make(stack, "Other", name_field="x')")


@pytest.mark.parametrize(
    ("express", "may"),
    [(False, {"StartExecution", "DescribeExecution"}), (True, {"StartSyncExecution"})],
)
def test_the_api_may_start_and_describe_this_state_machine_only_and_does(
    express: bool, may: set[str]
) -> None:
    template = made(express=express)[1]
    found = granted(template, "EntryRole")
    assert {action for action, _ in found} == {f"states:{name}" for name in may}
    assert all("PatternStateMachine" in resource for _, resource in found)
    methods = template.find_resources("AWS::ApiGateway::Method").values()
    calls = [method["Properties"]["Integration"] for method in methods]
    assert {text(call["Uri"]).rpartition("/")[2] for call in calls} == may
    for call in calls:
        assert "PatternStateMachine" in text(call["RequestTemplates"]["application/json"])
    if not express:
        template.has_resource_properties("AWS::ApiGateway::Resource", {"PathPart": "{name}"})


def test_without_a_starter_there_is_no_queue(stack: Stack) -> None:
    assert make(stack).intake is None
    queues = [one for one in stack.node.find_all() if isinstance(one, sqs.Queue)]
    assert [queue.node.id for queue in queues] == ["ParkedQueue"]
    with pytest.raises(ValueError, match="queue was given without starter"):
        make(stack, "Other", queue=NewQueue())
    with pytest.raises(ValueError, match="max_age was given without starter"):
        make(stack, "Late", alarms=Alarms(max_age=Duration.minutes(1)))


@pytest.mark.parametrize("express", [False, True])
def test_the_alarms_watch_executions_the_parked_queue_and_both_ways_in(express: bool) -> None:
    saga, template = made(express=express)
    found = template.find_resources("AWS::CloudWatch::Alarm").values()
    metrics = [alarm["Properties"]["MetricName"] for alarm in found]
    expected = ["5XXError", "ApproximateAgeOfOldestMessage", "ExecutionsFailed"]
    expected += ["ApproximateNumberOfMessagesVisible"] * 2  # parked, and dead-lettered
    expected += ["ExecutionsTimedOut"] + ["ExecutionThrottled", "ExecutionsAborted"] * (not express)
    assert sorted(metrics) == sorted(expected)
    assert len(saga.alarms) == len(metrics)


def test_the_starter_a_client_and_a_person_may_do_what_they_have_to() -> None:
    template = made()[1]
    started = ("states:StartExecution", "<PatternStateMachine>")
    assert started in granted(template, "StarterServiceRole")
    called = {resource for _, resource in granted(template, "ClientDefaultPolicy")}
    assert any("/POST/executions" in one for one in called)
    assert any("/GET/executions/*" in one for one in called)
    allowed = {action for action, _ in granted(template, "PersonDefaultPolicy")}
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "states:SendTaskSuccess"} <= allowed


@pytest.mark.parametrize("method", ["start_execution", "describe_execution", "execute", "resolve"])
def test_a_grant_that_would_have_no_effect_is_rejected(stack: Stack, method: str) -> None:
    with pytest.raises(ValueError, match="has no role or user"):
        getattr(make(stack), f"grant_{method}")(iam.AnyPrincipal())


def test_a_state_machine_of_another_account_is_rejected() -> None:
    stack = Stack(App(), "Stack", env=Environment(account="1" * 12, region="us-east-1"))
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", THEIRS)
    with pytest.raises(ValueError, match="state machine is in account 123456789012, but its exec"):
        StepFunctionsSaga(stack, "Pattern", saga=machine)


@every_layout
def test_what_its_steps_use_in_another_stack_is_granted_and_granted_to(layout: Any) -> None:
    there, here = layout(app := App())
    charge, starter = function(there, "Charge"), function(there, "Starter")
    orders = table(there, "Orders", encryption_key=kms.Key(there, "Key"))
    resources = {"Charge": charge, "Orders": orders}
    saga = make(here, resources=resources, parked_queue=sqs.Queue(there, "Q"), starter=starter)
    for grant in (saga.grant_describe_execution, saga.grant_resolve, saga.grant_execute):
        grant(starter)
        grant(charge)
    deployable(app, there, here)


def test_the_url_and_the_metrics_are_those_of_this_saga() -> None:
    saga = made()[0]
    assert text(Stack.of(saga).resolve(saga.url)).endswith("/executions")
    assert saga.metric_failed().metric_name == "ExecutionsFailed"
    assert saga.metric_succeeded(period=Duration.minutes(1)).metric_name == "ExecutionsSucceeded"


def rejected(stack: Stack, message: str, **settings: Any) -> None:
    with pytest.raises(ValueError, match=message):
        make(stack, f"Rejected{len(stack.node.children)}", **settings)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (changed("Charge", Catch=None), "Charge has no Catch"),
        (changed("Charge", TimeoutSeconds=10), "gives up after 10 s"),
        (changed("Park", Arguments={"QueueUrl": "${Q}"}), r"not use \${ParkedQueue}, so nobody"),
    ],
)
@pytest.mark.parametrize("express", [False, True])
def test_a_definition_that_does_not_fit_is_rejected(
    stack: Stack, machine: Any, message: str, express: bool
) -> None:
    rejected(stack, message, machine=machine, express=express)


def test_express_rejects_a_step_that_waits_for_a_callback(stack: Stack) -> None:
    waits = changed("Park", Resource=WAIT)
    make(stack, machine=waits)
    rejected(stack, "Park waits for .*an Express state", machine=waits, express=True)


@pytest.mark.parametrize(("days", "kept"), [(13, None), (14, None), (13, 12), (13, 13)])
def test_a_parked_queue_that_forgets_a_saga_that_waits_is_rejected(
    stack: Stack, days: int, kept: int | None
) -> None:
    machine = changed("Park", Resource=WAIT, TimeoutSeconds=days * DAY)
    queue = kept and sqs.Queue(stack, "Mine", retention_period=Duration.days(kept))
    if kept == 12:
        message = r"ParkedQueue keeps.*Park waits 13 days.*token"
        rejected(stack, message, machine=machine, parked_queue=queue)
    else:
        assert make(stack, machine=machine, parked_queue=queue).parked_queue


@pytest.mark.parametrize(
    ("own", "message"),
    [(False, "is Stack/Key, which is disabled"), (True, "was given together with parked_queue")],
)
def test_a_key_that_no_queue_would_use_or_that_is_disabled_is_rejected(
    stack: Stack, own: bool, message: str
) -> None:
    queue = sqs.Queue(stack, "Mine") if own else None
    key = kms.Key(stack, "Key", enabled=own)
    rejected(stack, f"encryption_key {message}", parked_queue=queue, encryption_key=key)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"express": "yes"}, "express is 'yes'; it must be of type bool"),
        ({"definition": 5}, "definition is 5; it must be of type str or PurePath"),
        ({"parked_queue": "arn:x"}, "parked_queue is 'arn:x'; it must be of type IQueue"),
        ({"encryption_key": "arn:x"}, "encryption_key is 'arn:x'; it must be of type IKey"),
        ({"log_execution_data": 1}, "log_execution_data is 1; it must be of type bool"),
        ({"resources": {"Orders": "orders"}}, r"resources\['Orders'\] is 'orders'; it must be of"),
    ],
)
def test_a_setting_of_a_wrong_type_is_rejected_in_plain_words(
    stack: Stack, settings: dict[str, Any], message: str
) -> None:
    rejected(stack, message, **settings)


@pytest.mark.parametrize("given", ["saga.asl.json", SAGA, None])
def test_a_saga_that_is_none_is_rejected_in_plain_words(stack: Stack, given: Any) -> None:
    with pytest.raises(ValueError, match=r"saga is .*it must be of type Saga or IStateMachine"):
        StepFunctionsSaga(stack, "Rejected", saga=given)


# Bring your own


def own_machine(stack: Stack, **settings: Any) -> stepfunctions.StateMachine:
    body = stepfunctions.DefinitionBody.from_string(json.dumps({"StartAt": "x", "States": {}}))
    return stepfunctions.StateMachine(stack, "Own", definition_body=body, **settings)


def test_a_state_machine_of_ones_own_is_started_and_watched(stack: Stack) -> None:
    key = stepfunctions.CustomerManagedEncryptionConfiguration(kms.Key(stack, "Key"))
    machine = own_machine(stack, encryption_configuration=key)
    saga = StepFunctionsSaga(stack, "Pattern", saga=machine, starter=function(stack, "Starter"))
    assert (saga.state_machine, saga.parked_queue) == (machine, None)
    assert len(saga.alarms) == 7
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::StepFunctions::StateMachine", 1)
    for role in ("EntryRole", "Starter"):
        may = {("states:StartExecution", "<Own>"), ("kms:Decrypt", "<Key>")}
        assert may <= granted(template, role)
    with pytest.raises(ValueError, match="parked queue is not known"):
        saga.grant_resolve(iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal()))


def test_an_own_state_machine_of_the_other_type_is_rejected(stack: Stack) -> None:
    machine = own_machine(stack, state_machine_type=stepfunctions.StateMachineType.EXPRESS)
    with pytest.raises(ValueError, match="Set express=True"):
        StepFunctionsSaga(stack, "Pattern", saga=machine)
    StepFunctionsSaga(stack, "Right", saga=machine, express=True)


@pytest.mark.parametrize(("express", "kind"), [(False, "STANDARD"), (True, "EXPRESS")])
def test_an_imported_state_machine_is_started_and_told_its_type(
    stack: Stack, express: bool, kind: str
) -> None:
    machine = stepfunctions.StateMachine.from_state_machine_arn(stack, "Theirs", THEIRS)
    StepFunctionsSaga(stack, "Pattern", saga=machine, express=express)
    warned(stack, f"must be {kind}, since express is {express}")
    calls = [method["Integration"] for method in properties(stack, "ApiGateway::Method")]
    called = [text(call["RequestTemplates"]["application/json"]) for call in calls]
    assert any(f'"{THEIRS}"' in call for call in called)
    assert any(":execution:theirs:" in call for call in called) is not express


def test_a_parked_queue_of_ones_own_takes_what_cannot_be_undone(stack: Stack) -> None:
    queue = sqs.Queue(stack, "Mine")
    assert make(stack, parked_queue=queue).parked_queue is queue
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SQS::Queue", 1)
    assert ("sqs:SendMessage", "<Mine>") in granted(template, "StateMachineRole")
