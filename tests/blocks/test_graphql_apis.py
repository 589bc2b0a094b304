"""GraphQL subscriptions: each client is let subscribe as itself, and nobody but IAM publishes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk.assertions import Template
from aws_cdk.aws_cognito import UserPool
from constructs import Construct
from graphql import build_schema

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.event_apis import Viewers
from serverless_patterns.patterns.blocks.graphql_apis import GraphqlChannels, NewGraphqlApi, schema
from serverless_patterns.patterns.blocks.stacks import check_order
from serverless_patterns.sandbox.runtime import node_folder
from tests.appsync_code import give_utils
from tests.inline import function, granted, only, properties, rejected
from tests.sandbox.graphql_api import DIRECTIVES
from tests.stacks import synthesize_and_validate
from tests.test_templates import findings

from .test_event_apis import Kind, provider

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [Kind.USER_POOL, Kind.OIDC, Kind.LAMBDA]
ASK = """import { readFileSync } from 'node:fs';
import { request, response } from './code.mjs';
const may = (ctx) => {
  try { return request(ctx).payload ?? response(ctx); } catch (error) { return error.message; }
};
console.log(JSON.stringify(JSON.parse(readFileSync('given.json')).map(may)));
"""


def viewers_of(stack: Stack, kind: Kind = Kind.USER_POOL, owner: str = "sub") -> Viewers:
    return Viewers(provider=provider(kind, stack), owner=owner)


def make(stack: Stack, api: Any = None, namespace: Any = "orders", **of: Any) -> GraphqlChannels:
    return GraphqlChannels(stack, api or NewGraphqlApi(), namespace, viewers_of(stack, **of))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_may_subscribe_as_the_owner_that_it_is_and_as_nobody_else(
    kind: Kind, stack: Stack, tmp_path: Path
) -> None:
    """Node runs the code of the resolver."""
    make(stack, kind=kind, owner="tenant")
    resolver = only(Template.from_stack(stack), "AWS::AppSync::Resolver", TypeName="Subscription")
    give_utils(tmp_path)
    (tmp_path / "code.mjs").write_text(resolver["Code"])
    where = "resolverContext" if kind is Kind.LAMBDA else "claims"

    def asks(owner: Any, **identity: Any) -> Any:
        return {"args": {"owner": owner}, "identity": {where: identity, "sub": "s"}}

    asked = [
        asks("one", tenant="one"),
        asks("two", tenant="one"),
        asks("*", tenant="one"),
        asks("s", tenant="one", sub="s"),
        asks(None, tenant=None),
        asks("", tenant=""),
        asks("undefined"),
        {"args": {"owner": "one"}, "identity": {}},
        {"args": {"owner": "one"}, "identity": None},
    ]
    (tmp_path / "given.json").write_text(json.dumps(asked))
    (tmp_path / "ask.mjs").write_text(ASK)
    answers = subprocess.check_output([f"{node_folder()}/node", "ask.mjs"], cwd=tmp_path)
    assert json.loads(answers) == [None, *["Unauthorized"] * (len(asked) - 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_for_iam_but_the_subscription_and_there_is_no_key(kind: Kind, stack: Stack) -> None:
    make(stack, kind=kind)
    template = Template.from_stack(stack)
    api = only(template, "AWS::AppSync::GraphQLApi")
    assert api["AuthenticationType"] == "AWS_IAM"
    (other,) = api["AdditionalAuthenticationProviders"]
    assert other["AuthenticationType"] != "API_KEY"
    definition = only(template, "AWS::AppSync::GraphQLSchema")["Definition"]
    fields: Any = build_schema(f"{DIRECTIVES}\n{definition}").type_map

    def directives(of: Any) -> set[str]:
        return {one.name.value for one in of.ast_node.directives or ()}

    assert directives(fields["Mutation"].fields["publishOrders"]) == {"aws_iam"}
    (theirs,) = directives(fields["Subscription"].fields["onOrders"]) - {"aws_subscribe"}
    assert theirs == {
        Kind.USER_POOL: "aws_cognito_user_pools",
        Kind.OIDC: "aws_oidc",
        Kind.LAMBDA: "aws_lambda",
    }[kind]  # fmt: skip
    assert not template.find_resources("AWS::AppSync::ApiKey")


def test_a_function_may_authorize_the_clients_of_two_apis(stack: Stack) -> None:
    """And of no other, such as one of another account."""
    viewers = viewers_of(stack, Kind.LAMBDA)
    for name in ("One", "Two"):
        GraphqlChannels(Construct(stack, name), NewGraphqlApi(), "orders", viewers)
    allowed = [one["SourceArn"]["Fn::GetAtt"][0] for one in properties(stack, "Lambda::Permission")]
    assert {*allowed} == {*Template.from_stack(stack).find_resources("AWS::AppSync::GraphQLApi")}


def test_a_function_of_another_stack_may_authorize(stack: Stack) -> None:
    app: Any = stack.node.root
    viewers = viewers_of(Stack(app, "Theirs"), Kind.LAMBDA)
    GraphqlChannels(stack, NewGraphqlApi(), "orders", viewers)
    Template.from_stack(stack)


def test_the_settings_of_a_provider_are_those_of_the_api(stack: Stack) -> None:
    users = appsync.AppSyncCognitoConfig(user_pool=UserPool(stack, "U"), app_id_client_regex="p.*")
    oidc = appsync.AppSyncOpenIdConnectConfig(
        oidc_provider="https://id.example", client_id="page",
        token_expiry_from_auth=60_000, token_expiry_from_issue=90_000,
    )  # fmt: skip
    asked = appsync.AppSyncLambdaAuthorizerConfig(
        handler=function(stack), results_cache_ttl=Duration.seconds(7), validation_regex="a.*"
    )
    for kind, given in (
        (Kind.USER_POOL, {"cognito_config": users}),
        (Kind.OIDC, {"open_id_connect_config": oidc}),
        (Kind.LAMBDA, {"lambda_authorizer_config": asked}),
    ):
        of: Any = appsync.AppSyncAuthProvider(authorization_type=kind, **given)
        viewers = Viewers(provider=of)
        GraphqlChannels(Construct(stack, kind.name), NewGraphqlApi(), "orders", viewers)
    found: dict[str, Any] = {}
    for api in properties(stack, "AppSync::GraphQLApi"):
        found |= api["AdditionalAuthenticationProviders"][0]
    assert found["UserPoolConfig"]["AppIdClientRegex"] == "p.*"
    assert found["OpenIDConnectConfig"] == {
        "AuthTTL": 60_000, "ClientId": "page", "IatTTL": 90_000, "Issuer": "https://id.example",
    }  # fmt: skip
    assert found["LambdaAuthorizerConfig"]["AuthorizerResultTtlInSeconds"] == 7
    assert found["LambdaAuthorizerConfig"]["IdentityValidationExpression"] == "a.*"


def test_a_publisher_may_call_the_mutation_alone(stack: Stack) -> None:
    make(stack).grant_publish(function(stack))
    found = granted(Template.from_stack(stack), "Consumer")
    [on] = [on for action, on in found if action == "appsync:GraphQL"]
    assert on.endswith(":apis/<Api>/types/Mutation/fields/publishOrders")


def test_the_api_logs_errors_for_a_month_without_what_a_customer_said(stack: Stack) -> None:
    make(stack)
    template = Template.from_stack(stack)
    config = only(template, "AWS::AppSync::GraphQLApi")["LogConfig"]
    assert (config["ExcludeVerboseContent"], config["FieldLogLevel"]) == (True, "ERROR")
    group = only(template, "AWS::Logs::LogGroup")
    assert group["RetentionInDays"] == 30
    assert group["LogGroupName"]["Fn::Join"][1][0] == "/aws/appsync/apis/"


def test_metrics_are_those_of_the_api(stack: Stack) -> None:
    found = make(stack).metric("PublishDataMessageServerError")
    assert (found.namespace, list(found.dimensions or {})) == ("AWS/AppSync", ["GraphQLAPIId"])


def test_a_new_api_is_clean_to_the_validators_of_the_cdk_cdk_nag_and_cfn_lint(
    cdk_context: dict[str, Any], tmp_path: Path
) -> None:
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import Runner

    app = App(outdir=str(tmp_path), context=cdk_context)
    make(Stack(app, "live"), kind=Kind.OIDC)
    synthesize_and_validate(app)
    found = findings(tmp_path)
    assert not any(found.values()), found
    template = json.loads((tmp_path / "live.template.json").read_text())
    lint = Runner(ConfigMixIn(["--"]))
    assert [str(match) for match in lint.validate_template(template)] == []


@pytest.mark.parametrize(
    ("namespace", "problem"),
    [
        ("or-ders", "named after it, so it must be letters and digits, the first of them a lett"),
        ("2orders", "named after it, so it must be letters and digits, the first of them a lett"),
        ("x" * 51, "namespace is .*; it must be 1 to 50 letters"),
        (7, "namespace is 7; it must be 1 to 50 letters"),
    ],
)
def test_a_namespace_that_no_field_can_be_named_after_is_rejected(
    namespace: Any, problem: str, stack: Stack
) -> None:
    with rejected(problem):
        make(stack, namespace=namespace)


# Your own API

MUTATION = "publishOrders(owner: ID!, event: String!): OrdersEvent @aws_iam"
SUBSCRIBE = '@aws_subscribe(mutations: ["publishOrders"])'
SUBSCRIPTION = f"onOrders(owner: ID!): OrdersEvent {SUBSCRIBE} @aws_cognito_user_pools"
OWN = f"""type Query {{ shops: [String] }} # }} type Mutation {{
type Mutation @aws_cognito_user_pools {{
  rename(name: String): String   # publishOrders
  {MUTATION.replace(", ", "  ")}
}}
type Subscription {{ onShops: String {SUBSCRIPTION} }}
type OrdersEvent @aws_iam @aws_cognito_user_pools {{ owner: ID!, event: String! }}
"""


def own_api(stack: Stack, folder: Path, definition: str = OWN, *kinds: Kind) -> appsync.GraphqlApi:
    file = folder / "own.graphql"
    file.write_text(definition)
    first, *others = [_mode(stack, kind) for kind in kinds or (Kind.USER_POOL, Kind.IAM)]
    return appsync.GraphqlApi(
        stack,
        "Mine",
        name="mine",
        definition=appsync.Definition.from_file(str(file)),
        authorization_config=appsync.AuthorizationConfig(
            default_authorization=first, additional_authorization_modes=others
        ),
    )


def _mode(stack: Stack, kind: Kind) -> appsync.AuthorizationMode:
    given: dict[str, Any] = {}
    if users := provider(kind, stack).cognito_config:
        given["user_pool_config"] = appsync.UserPoolConfig(user_pool=users.user_pool)
    type_ = appsync.AuthorizationType[kind.name]
    return appsync.AuthorizationMode(authorization_type=type_, **given)


def test_your_own_api_gets_the_code_and_no_alarm_on_what_its_other_clients_do(
    stack: Stack, tmp_path: Path
) -> None:
    api = own_api(stack, tmp_path)
    made = make(stack, api)
    assert made.api is api
    assert {one["FieldName"] for one in properties(stack, "AppSync::Resolver")} == {
        "publishOrders", "onOrders",
    }  # fmt: skip
    [alarm] = made.alarms(stack, Alarms())
    assert alarm.node.id == "BroadcastAlarm"


def test_what_a_new_api_has_is_what_your_own_must_have(stack: Stack, tmp_path: Path) -> None:
    make(
        stack,
        own_api(stack, tmp_path, "type Query { a: Int }\n" + schema("orders", viewers_of(stack))),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MUTATION.replace(", ", "  "), ""),
        (" @aws_iam\n", "\n"),  # then Mutation's own directive lets viewers publish
        (" @aws_iam\n", " @aws_iam @aws_cognito_user_pools\n"),
        (SUBSCRIBE, ""),
        ('["publishOrders"]', '["rename"]'),
        ("onOrders(owner: ID!)", "onOrders(owner: ID)"),
        ("onOrders(owner: ID!)", "onOrders"),
        (" @aws_cognito_user_pools }", " }"),
        ("type OrdersEvent @aws_iam ", "type OrdersEvent "),
        ("owner: ID!, event", "event"),
        ("type Subscription {", "type Other {"),
    ],
)
def test_a_schema_by_which_viewers_publish_or_miss_events_is_rejected(
    old: str, new: str, stack: Stack, tmp_path: Path
) -> None:
    assert old in OWN
    with rejected(r"The schema of Stack/Mine lacks .* word for word: type [MSO]\w+ .*\}$"):
        make(stack, own_api(stack, tmp_path, OWN.replace(old, new)))


@pytest.mark.parametrize(
    "spy",
    [
        'all: OrdersEvent @aws_subscribe(mutations: ["publishOrders"])',
        'all(of: String = "#"): OrdersEvent @aws_subscribe(mutations: ["rename" "publishOrders"])',
    ],
)
def test_a_schema_with_another_subscription_to_the_events_is_rejected(
    spy: str, stack: Stack, tmp_path: Path
) -> None:
    """It would have no code of this library, so whoever may subscribe would see all owners'."""
    schema = OWN.replace("onShops: String", f"onShops: String\n  {spy}\n")
    with rejected("of Stack/Mine has a subscription besides onOrders to publishOrders"):
        make(stack, own_api(stack, tmp_path, schema))


def test_a_schema_may_describe_what_is_needed(stack: Stack, tmp_path: Path) -> None:
    described = OWN.replace("{ owner: ID!,", '{ """Whose {#1}""" owner: ID! "What happened" ')
    described = described.replace("onShops: String", 'onShops(of: String = "}{"): String')
    make(stack, own_api(stack, tmp_path, described))


def test_two_namespaces_fit_in_an_api_of_yours(stack: Stack, tmp_path: Path) -> None:
    viewers = viewers_of(stack)
    bills = schema("bills", viewers).replace("type Mutation {", "extend type Mutation {")
    bills = bills.replace("type Subscription {", "extend type Subscription {")
    api = own_api(stack, tmp_path, OWN + bills)
    for namespace in ("orders", "bills"):
        GraphqlChannels(Construct(stack, namespace), api, namespace, viewers)
    names = [one["Name"] for one in properties(stack, "AppSync::DataSource")]
    assert len({*names}) == len(names) == 2


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ([Kind.USER_POOL, Kind.IAM, Kind.USER_POOL], "Stack/Mine authorizes by several USER_POOL"),
        ([Kind.USER_POOL], "Stack/Mine authorizes by USER_POOL, but IAM is needed"),
        ([Kind.IAM], "Stack/Mine authorizes by IAM, but USER_POOL is needed"),
    ],
)
def test_an_own_api_that_does_not_authorize_viewers_and_iam_is_rejected(
    kinds: list[Kind], problem: str, stack: Stack, tmp_path: Path
) -> None:
    with rejected(problem):
        make(stack, own_api(stack, tmp_path, OWN, *kinds))


def test_the_second_construct_of_a_namespace_is_rejected(stack: Stack, tmp_path: Path) -> None:
    api = own_api(stack, tmp_path)
    make(stack, api)
    with rejected("Stack/Mine has publishOrders of another construct already"):
        make(stack, api, namespace="Orders")


def test_an_imported_api_whose_schema_nobody_knows_is_rejected(stack: Stack) -> None:
    api = appsync.GraphqlApi.from_graphql_api_attributes(stack, "Theirs", graphql_api_id="x")
    with rejected("The schema of Stack/Theirs is not known here, so neither is who may publish"):
        make(stack, api)


def test_an_own_api_of_another_account_is_rejected(tmp_path: Path) -> None:
    app = App()
    here, there = (
        Stack(app, name, env=Environment(account=str(n) * 12, region="eu-west-1"))
        for n, name in enumerate(("Here", "There"), 1)
    )
    with rejected("api There/Mine .*resolvers are made beside their API"):
        make(here, own_api(there, tmp_path))


def test_an_own_api_of_a_stack_that_waits_for_this_one_is_rejected(tmp_path: Path) -> None:
    app = App()
    here, there = Stack(app, "Here"), Stack(app, "There")
    check_order(there, "bus", Construct(here, "Bus"))
    with rejected("api There/Mine is in stack There, which needs Here already, for bus"):
        make(here, own_api(there, tmp_path))
