"""What every construct behind an API promises its clients and its callers."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.blocks.rest import Endpoint, NewApi
from tests.contracts.builds import Build, every_build
from tests.inline import function, properties, rejected, warned


def methods(stack: Stack) -> list[dict[str, Any]]:
    return properties(stack, "ApiGateway::Method")


@functools.cache
def default_methods(build: Build) -> list[dict[str, Any]]:
    """The methods of a construct with the defaults, made once."""
    stack = Stack(App(), "Stack")
    build.make(stack, "Pattern")
    return methods(stack)


@every_build("endpoint")
def test_only_a_200_of_the_service_becomes_a_2xx_and_every_status_is_declared(build: Build) -> None:
    for method in default_methods(build):
        responses = method["Integration"]["IntegrationResponses"]
        patterns = {r.get("SelectionPattern"): r["StatusCode"] for r in responses}
        assert patterns.pop("200").startswith("2")
        assert patterns == {"400": "422", None: "502"}
        declared = {response["StatusCode"] for response in method["MethodResponses"]}
        set_in_templates = re.findall(r"responseOverride\.status = (\d+)", json.dumps(responses))
        assert {r["StatusCode"] for r in responses} | {*set_in_templates} <= declared


@every_build("endpoint")
def test_a_fault_that_is_not_the_clients_is_a_503(build: Build) -> None:
    for method in default_methods(build):
        responses = method["Integration"]["IntegrationResponses"]
        (refused,) = [r for r in responses if r["StatusCode"] == "422"]
        template = refused["ResponseTemplates"]["application/json"]
        other = '#if(!$clientFaults.contains(" $code "))'
        assert f"{other}#set($context.responseOverride.status = 503)#end" in template
        assert '"reason": "$!code' in template
        assert '"requestId": "$context.requestId"' in template


@every_build("endpoint")
def test_anything_but_json_is_turned_away(build: Build) -> None:
    for method in default_methods(build):
        assert method["Integration"]["PassthroughBehavior"] == "NEVER"
        assert list(method["Integration"]["RequestTemplates"]) == ["application/json"]


@every_build("endpoint")
def test_a_body_that_breaks_the_schema_is_turned_away_with_the_reason(
    build: Build, stack: Stack
) -> None:
    schema = apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT, required=["order_id"])
    build.make(stack, "Pattern", endpoint=Endpoint(schema=schema))
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::ApiGateway::RequestValidator",
        {"ValidateRequestBody": True, "ValidateRequestParameters": True},
    )
    template.has_resource_properties(
        "AWS::ApiGateway::Model", {"Schema": {"required": ["order_id"], "type": "object"}}
    )
    reason = Match.string_like_regexp(r"error\.validationErrorString")
    template.has_resource_properties(
        "AWS::ApiGateway::GatewayResponse",
        {"ResponseType": "BAD_REQUEST_BODY", "ResponseTemplates": {"application/json": reason}},
    )
    (post,) = [method for method in methods(stack) if method["HttpMethod"] == "POST"]
    assert list(post["RequestModels"]) == ["application/json"]
    assert post["RequestValidatorId"]


@every_build("endpoint")
def test_requests_must_be_signed_by_default(build: Build) -> None:
    assert {method["AuthorizationType"] for method in default_methods(build)} == {"AWS_IAM"}


@every_build("endpoint")
@pytest.mark.parametrize("kind", ["COGNITO_USER_POOLS", "CUSTOM"])
def test_an_authorizer_replaces_iam(build: Build, stack: Stack, kind: str) -> None:
    authorizer: Any
    if kind == "CUSTOM":
        handler = function(stack, "Authorize")
        authorizer = apigateway.TokenAuthorizer(stack, "Authorizer", handler=handler)
    else:
        pools = [cognito.UserPool(stack, "Pool")]
        authorizer = apigateway.CognitoUserPoolsAuthorizer(
            stack, "Authorizer", cognito_user_pools=pools
        )
    build.make(stack, "Pattern", endpoint=Endpoint(authorizer=authorizer))
    assert {method["AuthorizationType"] for method in methods(stack)} == {kind}


@every_build("endpoint")
def test_a_usage_plan_requires_an_api_key_and_covers_the_stage(build: Build, stack: Stack) -> None:
    plan = apigateway.UsagePlan(stack, "Plan")
    build.make(stack, "Pattern", endpoint=Endpoint(usage_plan=plan))
    for method in methods(stack):
        assert (method["ApiKeyRequired"], method["AuthorizationType"]) == (True, "NONE")
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::UsagePlan", {"ApiStages": [{"ApiId": Match.any_value()}]}
    )


@every_build("endpoint")
def test_grant_execute_allows_these_methods_alone(build: Build, stack: Stack) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    build.make(stack, "Pattern").grant_execute(caller)
    roles = [stack.resolve(caller.role_name)]
    (policy,) = [one for one in properties(stack, "IAM::Policy") if one["Roles"] == roles]
    statements = policy["PolicyDocument"]["Statement"]
    assert {statement["Action"] for statement in statements} == {"execute-api:Invoke"}
    granted = [statement["Resource"] for statement in statements]
    flat = [one for each in granted for one in (each if isinstance(each, list) else [each])]
    assert len(flat) == len(methods(stack))


@every_build("endpoint")
def test_the_stage_throttles_traces_and_logs_as_json(build: Build, stack: Stack) -> None:
    build.make(stack, "Pattern", endpoint=Endpoint(api=NewApi(rate_limit=20, burst_limit=30)))
    (stage,) = properties(stack, "ApiGateway::Stage")
    (settings,) = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (20, 30)
    assert stage["TracingEnabled"] is True
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"requestId", "status", "errorMessage"} <= line.keys()
    assert not any("identity" in value for value in line.values())
    assert {group["RetentionInDays"] for group in properties(stack, "Logs::LogGroup")} == {30}


@every_build("endpoint")
def test_more_than_5_percent_of_server_errors_raise_an_alarm_on_this_api_alone(
    build: Build, stack: Stack
) -> None:
    build.make(stack, "Pattern")
    (api,) = properties(stack, "ApiGateway::RestApi")
    assert "Stack" in api["Name"], "another stack's API has another name"
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "5XXError",
            "Dimensions": [{"Name": "ApiName", "Value": api["Name"]}],
            "Threshold": 0.05,
            "EvaluationPeriods": 3,
        },
    )


@every_build("endpoint")
def test_the_account_wide_role_for_logs_is_made_only_when_asked_for(build: Build) -> None:
    for asked in (False, True):
        stack = Stack(App(), "Stack")
        build.make(stack, "Pattern", endpoint=Endpoint(api=NewApi(cloud_watch_role=asked)))
        Template.from_stack(stack).resource_count_is("AWS::ApiGateway::Account", int(asked))


@every_build("endpoint")
def test_an_api_of_your_own_gets_the_method(build: Build, stack: Stack) -> None:
    api = apigateway.RestApi(stack, "Own")
    made = build.make(stack, "Pattern", endpoint=Endpoint("v1/orders", api=api))
    assert made.entry.api is api
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::ApiGateway::RestApi", 1)
    template.has_resource_properties("AWS::ApiGateway::Resource", {"PathPart": "v1"})


@every_build("endpoint")
def test_two_constructs_share_an_api(build: Build, stack: Stack) -> None:
    api = build.make(stack, "First", endpoint=Endpoint("orders")).entry.api
    build.make(stack, "Second", endpoint=Endpoint("returns", api=api))
    Template.from_stack(stack).resource_count_is("AWS::ApiGateway::RestApi", 1)


@every_build("endpoint")
def test_an_imported_api_must_be_deployed_again_and_takes_no_usage_plan(
    build: Build, stack: Stack
) -> None:
    api = apigateway.RestApi.from_rest_api_attributes(
        stack, "Theirs", rest_api_id="theirs", root_resource_id="root"
    )
    build.make(stack, "Pattern", endpoint=Endpoint(api=api))
    warned(stack, "imported.*deployed again")
    endpoint = Endpoint(api=api, usage_plan=apigateway.UsagePlan(stack, "Plan"))
    with rejected("usage_plan was given together with Stack/Theirs"):
        build.make(stack, "Planned", endpoint=endpoint)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"rate_limit": 0}, "rate_limit is 0, .*429"),
        ({"rate_limit": 0.5}, None),
        ({"burst_limit": 0}, "burst_limit is 0, .*429"),
        ({"burst_limit": 1}, None),
    ],
)
def test_a_limit_that_turns_every_request_away_is_rejected(
    settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        NewApi(**settings)
