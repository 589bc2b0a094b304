"""The promises of the construct beyond those of every API, alarm and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.tables import new_table
from serverless_patterns.patterns.polling_status.construct import Endpoint, NewApi, NewStatuses
from tests.api_sqs_lambda import builds as api_sqs_lambda
from tests.inline import function, granted, only, properties, rejected
from tests.step_functions_saga import builds as step_functions_saga

from .builds import machine, make, queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import aws_dynamodb as dynamodb


def table(stack: Stack, *keys: str) -> dynamodb.Table:
    return new_table(stack, "Own", *keys, removal_policy=RemovalPolicy.DESTROY)


def methods(stack: Stack) -> dict[str, dict[str, Any]]:
    return {one["HttpMethod"]: one for one in properties(stack, "ApiGateway::Method")}


def test_post_and_get_are_answered_by_the_front_for_signed_requests_alone(stack: Stack) -> None:
    schema = apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT, required=["order_id"])
    make(stack, endpoint=Endpoint("orders", schema=schema))
    found = methods(stack)
    assert set(found) == {"POST", "GET"}
    for method in found.values():
        assert method["AuthorizationType"] == "AWS_IAM"
        assert method["Integration"]["Type"] == "AWS_PROXY"
        assert "PatternFront" in str(method["Integration"]["Uri"])
    parts = [one["PathPart"] for one in properties(stack, "ApiGateway::Resource")]
    assert sorted(parts) == ["orders", "{id}"]
    assert found["POST"]["RequestValidatorId"], "what breaks the schema does not reach the front"
    assert found["POST"]["RequestModels"].keys() == {"application/json"}
    assert "RequestValidatorId" not in found["GET"]


def test_only_this_api_may_call_the_front(stack: Stack) -> None:
    make(stack)
    post, get = properties(stack, "Lambda::Permission")
    for one in (post, get):
        assert one["Principal"] == "apigateway.amazonaws.com"
        assert "PatternEntryApi" in str(one["SourceArn"])
        assert "test-invoke-stage" not in str(one["SourceArn"])


@pytest.mark.parametrize(
    ("work", "hands_over", "variable"),
    [(queue, {"sqs:SendMessage"}, "QUEUE_URL"),
     (machine, {"states:StartExecution", "states:DescribeExecution"}, "STATE_MACHINE_ARN")],
)  # fmt: skip
def test_the_front_may_write_and_read_statuses_and_hand_over_and_nothing_else(
    stack: Stack, work: Any, hands_over: set[str], variable: str
) -> None:
    made = make(stack, work=work)
    found = granted(Template.from_stack(stack), "PatternFront")
    statuses = {"dynamodb:PutItem", "dynamodb:Query"}
    assert {action for action, _ in found} == statuses | hands_over
    assert {arn for action, arn in found if action in statuses} == {"<PatternStatuses>"}
    assert made.environment.keys() == {*made.report_environment, "DEADLINE_SECONDS", variable}


@pytest.mark.parametrize(
    ("build", "work"),
    [(api_sqs_lambda.make, lambda it: it.queue),
     (step_functions_saga.make, lambda it: it.state_machine)],
)  # fmt: skip
def test_a_queue_and_a_saga_with_their_own_entries_stay_as_they_are_behind_it(
    build: Any, work: Callable[[Any], Any]
) -> None:
    alone, behind = (Stack(App(), "Stack") for _ in range(2))
    build(alone, "Theirs")
    make(behind, work=work(build(behind, "Theirs")))
    before, after = (Template.from_stack(it).to_json()["Resources"] for it in (alone, behind))
    assert after == after | before


def test_who_reports_may_write_statuses_and_cannot_read_them(stack: Stack) -> None:
    made = make(stack)
    made.grant_report(function(stack, "Worker"))
    found = granted(Template.from_stack(stack), "Worker")
    assert found == {("dynamodb:PutItem", "<PatternStatuses>")}
    assert made.report_environment.keys() == {"STATUS_TABLE_NAME", "STATUS_SECONDS"}


def test_who_may_submit_jobs_may_ask_for_them(stack: Stack) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    make(stack, endpoint=Endpoint("orders")).grant_execute(caller)
    arns = [arn for _, arn in granted(Template.from_stack(stack), "Caller")]
    assert sorted(arn.rpartition(">/")[2] for arn in arns) == ["GET/orders/*", "POST/orders"]


def test_a_customer_managed_key_is_for_who_reads_and_writes_statuses(stack: Stack) -> None:
    make(stack, work=machine, key=kms.Key(stack, "Key")).grant_report(function(stack, "Worker"))
    template = Template.from_stack(stack)
    assert only(template, "AWS::DynamoDB::Table")["SSESpecification"]["SSEType"] == "KMS"
    for role in ("Front", "Worker"):
        uses = granted(template, role)
        assert {("kms:Decrypt", "<Key>"), ("kms:GenerateDataKey", "<Key>")} <= uses, role


def test_statuses_expire_and_can_be_restored(stack: Stack) -> None:
    made = make(stack, statuses=NewStatuses(kept=Duration.days(2)), deadline=Duration.hours(1))
    found = only(Template.from_stack(stack), "AWS::DynamoDB::Table")
    assert found["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert found["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made.environment["STATUS_SECONDS"] == "172800"
    assert made.environment["DEADLINE_SECONDS"] == "3600"


def test_a_table_an_authorizer_and_an_api_of_your_own_are_used(stack: Stack) -> None:
    own = table(stack, "pk", "sk")
    pool = cognito.UserPool(stack, "Pool")
    authorizer = apigateway.CognitoUserPoolsAuthorizer(stack, "A", cognito_user_pools=[pool])
    made = make(stack, statuses=own, endpoint=Endpoint("orders", authorizer=authorizer))
    shared = Endpoint("quotes", api=made.entry.api, authorizer=authorizer)
    make(stack, "Second", work=machine, statuses=own, endpoint=shared)
    assert made.table is own
    for kind in ("DynamoDB::Table", "ApiGateway::RestApi"):
        assert len(properties(stack, kind)) == 1
    assert {one["AuthorizationType"] for one in methods(stack).values()} == {"COGNITO_USER_POOLS"}


def test_the_front_is_told_whose_pages_may_read_its_answers(stack: Stack) -> None:
    cors = apigateway.CorsOptions(allow_origins=["https://a.example", "https://b.example"])
    told = make(stack, endpoint=Endpoint(api=NewApi(cors=cors))).environment
    assert told["CORS_ORIGINS"] == "https://a.example https://b.example"


def test_a_front_that_fails_or_is_throttled_raises_an_alarm(stack: Stack) -> None:
    make(stack, work=machine)
    alarms = properties(stack, "CloudWatch::Alarm")
    found = {one["MetricName"]: one["EvaluationPeriods"] for one in alarms}
    assert found == {"5XXError": 3, "Errors": 3, "Throttles": 5}


def test_a_front_of_another_stack_gets_its_permissions_here(stack: Stack) -> None:
    theirs = Stack(stack.node.root, "Theirs")  # type: ignore[arg-type]
    make(stack, work=machine, front=function(theirs, "Front"))
    assert "dynamodb:Query" in str(only(Template.from_stack(stack), "AWS::IAM::Policy"))
    assert "Statuses" not in str(Template.from_stack(theirs).to_json())


def cached(stack: Stack, **options: Any) -> dict[str, Any]:
    stage = apigateway.StageOptions(caching_enabled=True, **options)
    api = apigateway.RestApi(stack, "Cached", deploy_options=stage, cloud_watch_role=False)
    return {"endpoint": Endpoint("jobs", api=api)}


def express(stack: Stack) -> dict[str, Any]:
    kind = stepfunctions.StateMachineType.EXPRESS
    return {"work": machine(stack, "Quick", state_machine_type=kind)}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (lambda it: {"work": sqs.Queue(it, "Fifo", fifo=True)},
         "Stack/Fifo is a FIFO queue, which needs a message group"),
        (express, "Express state machine, whose executions cannot be described"),
        (lambda it: {"endpoint": Endpoint(usage_plan=apigateway.UsagePlan(it, "Plan"))},
         "an API key does not say who asks"),
        (cached, "caches GET, and its cache does not know who asks"),
        (lambda it: {"statuses": table(it, "id", "kind")},
         "has the keys id, kind; it needs pk and sk"),
        (lambda it: {"front": function(it, "Off", reserved_concurrent_executions=0)}, "reserve"),
        (lambda it: {"front": lambda_.Function.from_function_name(it, "Named", "front")},
         "was imported without its role"),
        (lambda _: {"endpoint": Endpoint(content_types=["text/csv"])}, "accepts text/csv; a job"),
        (lambda _: {"deadline": Duration.seconds(0)}, "deadline is 0 s"),
        (lambda it: {"deadline": Duration.seconds(60),
                     "work": sqs.Queue(it, "Late", delivery_delay=Duration.seconds(60))},
         "Stack/Late delays jobs by 60 s, and deadline is 60 s: every job would have failed"),
        (lambda it: {"deadline": Duration.days(7), "statuses": table(it, "pk", "sk")},
         "kept is 604800 s, and a job may take 604800 s"),
        (lambda _: {"statuses": NewStatuses(kept=Duration.seconds(0))},
         "kept is 0 s, and a job may take 900 s"),
        (lambda _: {"work": "queue"}, "work"),
        (lambda _: {"statuses": NewApi()}, "statuses"),
    ],
)  # fmt: skip
def test_what_would_fail_or_tell_others_is_rejected(
    stack: Stack, given: Callable[[Stack], dict[str, Any]], problem: str
) -> None:
    with rejected(problem):
        make(stack, "Pattern", **given(stack))


def test_a_cache_that_leaves_statuses_out_is_used(stack: Stack) -> None:
    out = apigateway.MethodDeploymentOptions(caching_enabled=False)
    assert make(stack, **cached(stack, method_options={"/jobs/{id}/GET": out})).url
