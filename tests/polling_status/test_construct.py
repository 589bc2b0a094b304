"""The promises of the construct beyond those of every API, alarm and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Template

from serverless_patterns.patterns.polling_status.construct import Endpoint, NewApi, NewStatuses
from tests.inline import function, granted, properties, rejected

from .builds import machine, make

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def table(stack: Stack, partition: str, sort: str) -> dynamodb.Table:
    def key(name: str) -> dynamodb.Attribute:
        return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)

    return dynamodb.Table(stack, "Own", partition_key=key(partition), sort_key=key(sort))


def methods(stack: Stack) -> dict[str, dict[str, Any]]:
    return {one["HttpMethod"]: one for one in properties(stack, "ApiGateway::Method")}


def test_post_and_get_are_answered_by_the_front_for_signed_requests_alone(stack: Stack) -> None:
    make(stack, endpoint=Endpoint("orders"))
    found = methods(stack)
    assert set(found) == {"POST", "GET"}
    for method in found.values():
        assert method["AuthorizationType"] == "AWS_IAM"
        assert method["Integration"]["Type"] == "AWS_PROXY"
        assert "PatternFront" in str(method["Integration"]["Uri"])
    parts = [one["PathPart"] for one in properties(stack, "ApiGateway::Resource")]
    assert sorted(parts) == ["orders", "{id}"]


def test_a_body_that_breaks_the_schema_does_not_reach_the_front(stack: Stack) -> None:
    schema = apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT, required=["order_id"])
    make(stack, endpoint=Endpoint(schema=schema))
    found = methods(stack)
    assert found["POST"]["RequestValidatorId"]
    assert found["POST"]["RequestModels"].keys() == {"application/json"}
    assert "RequestValidatorId" not in found["GET"]


def test_only_this_api_may_call_the_front(stack: Stack) -> None:
    make(stack)
    permissions = properties(stack, "Lambda::Permission")
    assert len(permissions) == 2
    for one in permissions:
        assert one["Principal"] == "apigateway.amazonaws.com"
        assert "PatternEntryApi" in str(one["SourceArn"])
        assert "test-invoke-stage" not in str(one["SourceArn"])


def test_the_front_may_write_and_read_statuses_and_hand_over_and_nothing_else(
    stack: Stack,
) -> None:
    make(stack)
    assert granted(Template.from_stack(stack), "PatternFront") == {
        ("dynamodb:PutItem", "<PatternStatuses>"),
        ("dynamodb:Query", "<PatternStatuses>"),
        ("sqs:SendMessage", "<PatternQueue>"),
    }


def test_the_front_of_a_state_machine_may_start_its_executions_and_ask_for_them(
    stack: Stack,
) -> None:
    made = make(stack, work=machine)
    found = {action for action, _ in granted(Template.from_stack(stack), "PatternFront")}
    assert found == {
        "dynamodb:PutItem",
        "dynamodb:Query",
        "states:StartExecution",
        "states:DescribeExecution",
    }
    assert "STATE_MACHINE_ARN" in made.environment
    assert "QUEUE_URL" not in made.environment


def test_who_reports_may_write_statuses_and_cannot_read_them(stack: Stack) -> None:
    worker = function(stack, "Worker")
    made = make(stack)
    made.grant_report(worker)
    assert granted(Template.from_stack(stack), "Worker") == {
        ("dynamodb:PutItem", "<PatternStatuses>")
    }
    assert made.report_environment.keys() == {"STATUS_TABLE_NAME", "STATUS_SECONDS"}


def test_who_may_submit_jobs_may_ask_for_them(stack: Stack) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    make(stack, endpoint=Endpoint("orders")).grant_execute(caller)
    arns = [arn for _, arn in granted(Template.from_stack(stack), "Caller")]
    assert sorted(arn.rpartition(">/")[2] for arn in arns) == ["GET/orders/*", "POST/orders"]


def test_a_customer_managed_key_is_for_who_reads_and_writes_statuses(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, work=machine, key=key)
    made.grant_report(function(stack, "Worker"))
    (found,) = properties(stack, "DynamoDB::Table")
    assert found["SSESpecification"]["SSEType"] == "KMS"
    for role in ("Front", "Worker"):
        uses = granted(Template.from_stack(stack), role)
        assert {("kms:Decrypt", "<Key>"), ("kms:GenerateDataKey", "<Key>")} <= uses, role


def test_statuses_expire_and_can_be_restored(stack: Stack) -> None:
    made = make(stack, statuses=NewStatuses(kept=Duration.days(2)), deadline=Duration.hours(1))
    (found,) = properties(stack, "DynamoDB::Table")
    assert found["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert found["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made.environment["STATUS_SECONDS"] == "172800"
    assert made.environment["DEADLINE_SECONDS"] == "3600"


def test_a_table_and_an_authorizer_of_your_own_are_used(stack: Stack) -> None:
    own = table(stack, "pk", "sk")
    pool = cognito.UserPool(stack, "Pool")
    authorizer = apigateway.CognitoUserPoolsAuthorizer(stack, "A", cognito_user_pools=[pool])
    made = make(stack, statuses=own, endpoint=Endpoint(authorizer=authorizer))
    assert made.table is own
    Template.from_stack(stack).resource_count_is("AWS::DynamoDB::Table", 1)
    assert {one["AuthorizationType"] for one in methods(stack).values()} == {"COGNITO_USER_POOLS"}


def test_the_front_is_told_whose_pages_may_read_its_answers(stack: Stack) -> None:
    cors = apigateway.CorsOptions(allow_origins=["https://a.example", "https://b.example"])
    made = make(stack, endpoint=Endpoint(api=NewApi(cors=cors)))
    assert made.environment["CORS_ORIGINS"] == "https://a.example https://b.example"


def test_two_kinds_of_work_share_an_api(stack: Stack) -> None:
    first = make(stack, "First", endpoint=Endpoint("orders"))
    make(stack, "Second", work=machine, endpoint=Endpoint("quotes", api=first.entry.api))
    Template.from_stack(stack).resource_count_is("AWS::ApiGateway::RestApi", 1)


def test_a_front_that_fails_or_is_throttled_raises_an_alarm(stack: Stack) -> None:
    make(stack, work=machine)
    found = {
        one["MetricName"]: one["EvaluationPeriods"]
        for one in properties(stack, "CloudWatch::Alarm")
    }
    assert found == {"5XXError": 3, "Errors": 3, "Throttles": 5}


def test_a_front_of_another_stack_gets_its_permissions_here(stack: Stack) -> None:
    theirs = Stack(stack.node.root, "Theirs")  # type: ignore[arg-type]
    make(stack, work=machine, front=function(theirs, "Front"))
    (policy,) = properties(stack, "IAM::Policy")
    assert "dynamodb:Query" in str(policy)
    assert "Statuses" not in str(Template.from_stack(theirs).to_json())


def fifo(stack: Stack) -> dict[str, Any]:
    return {"work": sqs.Queue(stack, "Fifo", fifo=True)}


def express(stack: Stack) -> dict[str, Any]:
    kind = stepfunctions.StateMachineType.EXPRESS
    return {"work": machine(stack, "Quick", state_machine_type=kind)}


def key_alone(stack: Stack) -> dict[str, Any]:
    plan = apigateway.UsagePlan(stack, "Plan")
    return {"endpoint": Endpoint(usage_plan=plan)}


def other_keys(stack: Stack) -> dict[str, Any]:
    return {"statuses": table(stack, "id", "kind")}


def never(stack: Stack) -> dict[str, Any]:
    return {"front": function(stack, "Off", reserved_concurrent_executions=0)}


def without_role(stack: Stack) -> dict[str, Any]:
    return {"front": lambda_.Function.from_function_name(stack, "Named", "front")}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (fifo, "Stack/Fifo is a FIFO queue, which needs a message group"),
        (express, "Express state machine, whose executions cannot be asked"),
        (key_alone, "an API key does not say who asks"),
        (other_keys, "has the keys id, kind; statuses need"),
        (never, "reserve"),
        (without_role, "was imported without its role"),
        (lambda _: {"endpoint": Endpoint(content_types=["text/csv"])}, "accepts text/csv, but"),
        (lambda _: {"deadline": Duration.seconds(0)}, "deadline is 0 s"),
        (lambda _: {"deadline": Duration.days(7)}, "kept is 604800 s, and a job may take 604800 s"),
        (lambda _: {"work": "queue"}, "work"),
        (lambda _: {"statuses": NewApi()}, "statuses"),
    ],
)
def test_what_would_fail_or_tell_others_is_rejected(
    stack: Stack, given: Callable[[Stack], dict[str, Any]], problem: str
) -> None:
    with rejected(problem):
        make(stack, "Pattern", **given(stack))


def test_statuses_that_are_gone_at_once_are_rejected() -> None:
    with rejected("kept is 0 s"):
        NewStatuses(kept=Duration.seconds(0))
