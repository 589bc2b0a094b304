"""What every construct behind an API promises its clients and its callers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.blocks.apis import Cors
from serverless_patterns.patterns.blocks.endpoints import (
    JSON,
    Endpoint,
    NewApi,
    RequestField,
    check_fields,
)
from tests.api_sqs_lambda.builds import make
from tests.contracts.builds import Build, every_build, resources_of
from tests.inline import function, properties, rejected, warned


def methods(stack: Stack) -> list[dict[str, Any]]:
    return properties(stack, "ApiGateway::Method")


def default_methods(build: Build) -> list[dict[str, Any]]:
    """The methods of a construct with the defaults."""
    return resources_of(build, "ApiGateway::Method")


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
def test_two_methods_of_an_api_join_its_stage_to_a_usage_plan_once_beside_others(
    build: Build, stack: Stack
) -> None:
    api, plan = apigateway.RestApi(stack, "Api"), apigateway.UsagePlan(stack, "Plan")
    other = apigateway.RestApi(stack, "Other")
    other.root.add_method("GET")
    plan.add_api_stage(stage=other.deployment_stage)
    for path in ("one", "two"):
        build.make(stack, path, endpoint=Endpoint(path, api=api, usage_plan=plan))
    (made,) = properties(stack, "ApiGateway::UsagePlan")
    stages = [other.deployment_stage, api.deployment_stage]
    assert [one["Stage"] for one in made["ApiStages"]] == stack.resolve(
        [one.stage_name for one in stages]
    )


@every_build("endpoint")
def test_a_usage_plan_requires_an_api_key_and_covers_the_stage(build: Build, stack: Stack) -> None:
    plan = apigateway.UsagePlan(stack, "Plan")
    build.make(stack, "Pattern", endpoint=Endpoint(usage_plan=plan))
    for method in methods(stack):
        assert (method["ApiKeyRequired"], method["AuthorizationType"]) == (True, "NONE")
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::UsagePlan", {"ApiStages": [{"ApiId": Match.any_value()}]}
    )
    warned(stack, "An API key is all that a client needs", "*")


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
    assert {"requestId", "status", "errorType"} <= line.keys()
    assert not any("identity" in value for value in line.values())
    assert {group["RetentionInDays"] for group in properties(stack, "Logs::LogGroup")} == {30}


@every_build("endpoint")
def test_more_than_5_percent_of_server_errors_raise_an_alarm_on_this_api_alone(
    build: Build,
) -> None:
    (api,) = resources_of(build, "ApiGateway::RestApi")
    assert "Stack" in api["Name"], "another stack's API has another name"
    alarms = resources_of(build, "CloudWatch::Alarm")
    (alarm,) = [alarm for alarm in alarms if alarm["MetricName"] == "5XXError"]
    assert alarm["Dimensions"] == [{"Name": "ApiName", "Value": api["Name"]}]
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0.05, 3)
    assert (alarm["Statistic"], alarm["Period"]) == ("Average", 60)


@every_build("endpoint")
def test_a_new_api_is_regional(build: Build) -> None:
    (api,) = resources_of(build, "ApiGateway::RestApi")
    assert api["EndpointConfiguration"]["Types"] == ["REGIONAL"]


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
    with rejected("usage_plan needs the stage of Stack/Theirs, an imported API"):
        build.make(stack, "Planned", endpoint=endpoint)


@every_build("endpoint")
def test_a_stage_that_is_not_known_has_no_url(build: Build, stack: Stack) -> None:
    theirs = apigateway.RestApi.from_rest_api_attributes(
        stack, "Theirs", rest_api_id="theirs", root_resource_id="root"
    )
    undeployed = apigateway.RestApi(stack, "Own", deploy=False)
    for api in (theirs, undeployed):
        made = build.make(stack, f"For{api.node.id}", endpoint=Endpoint(api=api))
        with rejected(f"url needs the stage of Stack/{api.node.id}"):
            made.url  # noqa: B018 - it raises
    warned(stack, "deploy=False, so what is added answers only once", "/Stack/Own")


@every_build("endpoint")
def test_an_api_that_the_methods_cannot_be_added_to_is_rejected(build: Build, stack: Stack) -> None:
    document = apigateway.ApiDefinition.from_inline({"openapi": "3.0.1", "paths": {}})
    own = apigateway.RestApi(stack, "Own")
    build.make(stack, "Pattern", endpoint=Endpoint("orders", api=own))
    handler = function(stack, "Handler")
    for number, (api, problem) in enumerate(
        [
            (own, "takes no POST of /orders: .*already a Construct with name 'POST'"),
            (apigateway.SpecRestApi(stack, "Spec", api_definition=document), "OpenAPI document"),
            (apigateway.LambdaRestApi(stack, "Proxy", handler=handler), "proxying"),
            (
                apigateway.RestApi.from_rest_api_id(stack, "Theirs", "theirs"),
                "no resource 'orders'",
            ),
        ]
    ):
        with rejected(problem):
            build.make(stack, f"Pattern{number}", endpoint=Endpoint("orders", api=api))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        *(({"path": path}, None) for path in ("", "/", "/v1/orders", "c/{id}/o", "{proxy+}")),
        *(
            ({"path": path}, "it must be parts of letters")
            for path in ("a//b", "a/", "a b", "a?b", "{a", "{a b}", "é", "{a+}/b")
        ),
        ({"path": "{a}/b/{a}"}, "two parameters of one name"),
        ({"content_types": ["text/plain", "application/vnd.order+xml"]}, None),
        ({"content_types": []}, "content_types has ''"),
        ({"content_types": ["text"]}, "content_types has 'text'"),
        ({"content_types": ["text/plain; charset=utf-8"]}, "without parameters"),
        (
            {"content_types": [JSON, "text/csv"], "schema": apigateway.JsonSchema()},
            "has text/csv, which no JSON schema checks",
        ),
    ],
)
def test_an_endpoint_that_api_gateway_does_not_know_is_rejected(
    settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        Endpoint(**settings)


@every_build("endpoint")
def test_an_api_to_which_json_is_binary_is_rejected_also_when_it_is_set_later(
    build: Build, stack: Stack
) -> None:
    for media_type in ("*/*", "application/*", "application/json"):
        other = Stack(App(), "Stack")
        binary = apigateway.RestApi(other, "Api", binary_media_types=[media_type])
        with rejected(rf"treats {re.escape(media_type)} as binary, so .* answers 500"):
            build.make(other, "Pattern", endpoint=Endpoint(api=binary))
    pictures = apigateway.RestApi(stack, "Pictures", binary_media_types=["image/png"])
    made = build.make(stack, "Pattern", endpoint=Endpoint(api=pictures))
    made.entry.api.node.default_child.binary_media_types = ["image/png", "*/*"]
    with pytest.raises(RuntimeError, match=r"Pictures treats \*/\* as binary"):
        Template.from_stack(stack)


@every_build("endpoint")
def test_bodies_of_other_content_types_are_accepted_on_request(build: Build, stack: Stack) -> None:
    endpoint = Endpoint(content_types=["text/plain"])
    if "any body" not in build.takes:  # these take a field of a JSON body
        with rejected("has what is not JSON and has no fields"):
            build.make(stack, "Pattern", endpoint=endpoint)
        return
    build.make(stack, "Pattern", endpoint=endpoint)
    (post,) = [method for method in methods(stack) if method["HttpMethod"] == "POST"]
    assert list(post["Integration"]["RequestTemplates"]) == ["text/plain"]


CORS = apigateway.CorsOptions(
    allow_origins=["https://shop.example", "https://desk.example"],
    allow_credentials=True,
    expose_headers=["X-Amzn-RequestId"],
)


@every_build("endpoint")
@pytest.mark.parametrize("own", [True, False], ids=["own", "new"])
def test_every_answer_errors_too_has_the_headers_of_cors(
    build: Build, stack: Stack, own: bool
) -> None:
    api: Any = NewApi(cors=CORS)
    if own:
        api = apigateway.RestApi(stack, "Own", default_cors_preflight_options=CORS)
    build.make(stack, "Pattern", endpoint=Endpoint(api=api))
    expected = {
        "Access-Control-Allow-Origin": "'https://shop.example'",
        "Access-Control-Allow-Credentials": "'true'",
        "Access-Control-Expose-Headers": "'X-Amzn-RequestId'",
        "Vary": "'Origin'",
    }
    of_method = {f"method.response.header.{name}": value for name, value in expected.items()}
    found = [method for method in methods(stack) if method["HttpMethod"] in ("POST", "GET")]
    assert found
    for method in found:
        for response in method["Integration"]["IntegrationResponses"]:
            assert response["ResponseParameters"] == of_method
            template = response["ResponseTemplates"]["application/json"]
            assert '$origin == "https://desk.example"' in template
        for response in method["MethodResponses"]:
            assert response["ResponseParameters"].keys() == of_method.keys()
    gateway = {
        response["ResponseType"]: response.get("ResponseParameters", {})
        for response in properties(stack, "ApiGateway::GatewayResponse")
    }
    if own:
        warned(stack, "DEFAULT_4XX and DEFAULT_5XX", "/Stack/Own")
    else:
        assert gateway.keys() == {"BAD_REQUEST_BODY", "DEFAULT_4XX", "DEFAULT_5XX"}
        of_gateway = {f"gatewayresponse.header.{name}": value for name, value in expected.items()}
        assert all(parameters == of_gateway for parameters in gateway.values())


def test_an_answer_that_every_origin_may_read_does_not_vary_by_origin() -> None:
    anybody = Cors(apigateway.CorsOptions(allow_origins=["*"]))
    assert (anybody.headers, anybody.template) == ({"Access-Control-Allow-Origin": "'*'"}, "")


@every_build("endpoint")
def test_an_api_that_answers_options_by_itself_is_warned_of(build: Build, stack: Stack) -> None:
    api = apigateway.RestApi(stack, "Own")
    api.root.add_resource("orders").add_cors_preflight(allow_origins=["*"])
    build.make(stack, "Pattern", endpoint=Endpoint("orders", api=api))
    warned(stack, "orders answers OPTIONS, but .*set default_cors_preflight_options", "/Stack/Own")


@every_build("endpoint")
def test_without_cors_no_page_of_another_origin_may_read_an_answer(build: Build) -> None:
    assert "Access-Control" not in json.dumps(default_methods(build))


@every_build("endpoint")
def test_the_authorizer_that_an_api_has_for_every_method_is_used(
    build: Build, stack: Stack
) -> None:
    pools = [cognito.UserPool(stack, "Pool")]
    default = apigateway.CognitoUserPoolsAuthorizer(stack, "Authorizer", cognito_user_pools=pools)
    options = apigateway.MethodOptions(authorizer=default)
    api = apigateway.RestApi(stack, "Own", default_method_options=options)
    made = build.make(stack, "Pattern", endpoint=Endpoint(api=api))
    assert {method["AuthorizationType"] for method in methods(stack)} == {"COGNITO_USER_POOLS"}
    with rejected("does not authorize by IAM, so a permission lets nobody in"):
        made.entry.grant_execute(iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal()))


@every_build("endpoint")
def test_an_authorizer_replaces_what_the_api_has_for_every_method(
    build: Build, stack: Stack
) -> None:
    options = apigateway.MethodOptions(authorization_type=apigateway.AuthorizationType.IAM)
    api = apigateway.RestApi(stack, "Own", default_method_options=options)
    pools = [cognito.UserPool(stack, "Pool")]
    authorizer = apigateway.CognitoUserPoolsAuthorizer(
        stack, "Authorizer", cognito_user_pools=pools
    )
    build.make(stack, "Pattern", endpoint=Endpoint(api=api, authorizer=authorizer))
    assert {method["AuthorizationType"] for method in methods(stack)} == {"COGNITO_USER_POOLS"}


@every_build("endpoint")
def test_a_permission_that_nobody_gets_is_rejected(build: Build, stack: Stack) -> None:
    with rejected("has no role or user to attach a policy to"):
        build.make(stack, "Pattern").grant_execute(iam.AccountPrincipal("222222222222"))


@pytest.mark.parametrize(
    ("field", "settings", "authorized", "problem"),
    [
        (RequestField.path("id"), {"path": "customers/{id}/orders"}, False, None),
        (RequestField.path("proxy"), {"path": "v1/{proxy+}"}, False, None),
        (RequestField.path("id"), {"path": "orders"}, False, r"such as orders/{id}"),
        (RequestField.body("id"), {"content_types": ["text/plain"]}, False, "has no fields"),
        (RequestField.context("authorizer.claims.sub"), {}, True, None),
        (RequestField.context("authorizer.claims.sub"), {}, False, "requests are signed: it would"),
        (RequestField.context("identity.userArn"), {}, False, None),
        (RequestField.context("identity.userArn"), {}, True, "nobody signs requests: it would"),
        (RequestField.context("identity.sourceIp"), {}, True, None),
        (RequestField.context("identity.userAgent"), {}, True, None),
        (RequestField.context("identity.accountId"), {}, True, "nobody signs requests: it would"),
        (RequestField.context("identity.cognitoIdentityId"), {}, False, None),
        (RequestField.query("identity"), {}, True, None),
        (RequestField.context("identity.apiKeyId"), {}, False, "no request needs an API key"),
        (RequestField.context("identity.apiKey"), {}, True, "no request needs an API key"),
        (RequestField.context("identity.apiKeyId"), {"keyed": True}, True, None),
    ],
)
def test_a_value_that_no_request_has_is_rejected(
    field: RequestField, settings: dict[str, Any], authorized: bool, problem: str | None
) -> None:
    keyed = settings.pop("keyed", False)
    with rejected(problem):
        check_fields([field], Endpoint(**settings), authorized=authorized, keyed=keyed)


@pytest.mark.parametrize("name", ["identity.userarn", "identity.sourceip", "claims.sub", "request"])
def test_a_variable_that_api_gateway_does_not_have_is_rejected(name: str) -> None:
    with rejected(f"'{name}' is none that API Gateway has, so it would be empty"):
        RequestField.context(name)


def test_the_key_that_your_own_api_requires_of_every_request_is_known(stack: Stack) -> None:
    keyed = apigateway.MethodOptions(api_key_required=True)
    api = apigateway.RestApi(stack, "Api", default_method_options=keyed)
    attributes = {"Key": RequestField.context("identity.apiKeyId")}
    make(stack, endpoint=Endpoint(api=api), attributes=attributes)
    assert all(method["ApiKeyRequired"] for method in methods(stack))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"rate_limit": 0}, "rate_limit is 0, .*429"),
        ({"rate_limit": 0.5}, None),
        ({"burst_limit": 0}, "burst_limit is 0, .*429"),
        ({"burst_limit": 1}, None),
        ({"cors": apigateway.CorsOptions(allow_origins=[])}, r"origins \[\]; it must have one or"),
        ({"cors": apigateway.CorsOptions(allow_origins=["*", "https://a"])}, "or . alone"),
        ({"cors": apigateway.CorsOptions(allow_origins=["*"])}, None),
        (
            {"cors": apigateway.CorsOptions(allow_origins=["*"], allow_credentials=True)},
            "credentials for \\*, which browsers reject",
        ),
    ],
)
def test_limits_and_origins_that_turn_every_request_away_are_rejected(
    settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        NewApi(**settings)
