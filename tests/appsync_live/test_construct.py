"""The promises of the construct beyond those of every reader of a stream and of every alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk.assertions import Template

from serverless_patterns.patterns.appsync_live.construct import NewTable, Viewers
from tests.inline import function, granted, only, properties, rejected

from .builds import by_user_pool, make
from .node import run

if TYPE_CHECKING:
    from pathlib import Path

Kind = appsync.AppSyncAuthorizationType
POOL, IAM = {"AuthType": "AMAZON_COGNITO_USER_POOLS"}, {"AuthType": "AWS_IAM"}
OIDC = appsync.AppSyncOpenIdConnectConfig(oidc_provider="https://id.example")
# The module that AppSync gives to handlers.
UTILS = "export const util = { unauthorized() { throw new Error('Unauthorized'); } };"
ASK = """import { onSubscribe } from './code.mjs';
const may = (ctx) => {
  try { onSubscribe(ctx); return true; } catch (error) { return error.message !== 'Unauthorized'; }
};
console.log(JSON.stringify(given.map(may)));
"""


def provider(kind: Kind, stack: Stack) -> appsync.AppSyncAuthProvider:
    if kind is Kind.USER_POOL:
        return by_user_pool(stack)
    given: dict[str, Any] = {}
    if kind is Kind.OIDC:
        given["open_id_connect_config"] = OIDC
    if kind is Kind.LAMBDA:
        given["lambda_authorizer_config"] = appsync.AppSyncLambdaAuthorizerConfig(
            handler=function(stack, "Authorizer")
        )
    return appsync.AppSyncAuthProvider(authorization_type=kind, **given)


def subscribes(folder: Path, stack: Stack, *asked: Any) -> list[bool]:
    """Run the code of the stack's namespace in Node; return which clients may subscribe."""
    code = only(Template.from_stack(stack), "AWS::AppSync::ChannelNamespace")["CodeHandlers"]
    module = folder / "node_modules" / "@aws-appsync" / "utils"
    module.mkdir(parents=True)
    (module / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (module / "index.js").write_text(UTILS)
    (folder / "code.mjs").write_text(code)
    contexts = [
        {"identity": identity, "info": {"channel": {"segments": segments}}}
        for identity, *segments in asked
    ]
    answers: list[bool] = run(folder, ASK, contexts)
    return answers


@pytest.mark.parametrize("kind", [Kind.USER_POOL, Kind.OIDC, Kind.LAMBDA])
def test_a_client_may_subscribe_to_its_own_channel_only(
    kind: Kind, stack: Stack, tmp_path: Path
) -> None:
    make(stack, viewers=Viewers(provider=provider(kind, stack), owner="tenant"))
    where = "handlerContext" if kind is Kind.LAMBDA else "claims"

    def who(tenant: Any) -> dict[str, Any]:
        return {where: {"tenant": tenant, "sub": "s"}, "sub": "s"}

    asked: list[Any] = [
        (who("one"), "orders", "one"),
        (who("one"), "orders", "two"),
        (who("one"), "orders", "*"),
        (who("*"), "orders", "*"),
        (who("one"), "orders", "one", "more"),
        (who("one"), "orders"),
        (who(None), "orders", "null"),
        ({where: {}}, "orders", "undefined"),
        ({}, "orders", "undefined"),
        (who("one"), "orders", "s"),
    ]
    assert subscribes(tmp_path, stack, *asked) == [True, *[False] * 9]


def test_clients_connect_by_their_token_iam_alone_publishes_and_there_is_no_key(
    stack: Stack,
) -> None:
    make(stack)
    template = Template.from_stack(stack)
    config = only(template, "AWS::AppSync::Api")["EventConfig"]
    assert config["ConnectionAuthModes"] == config["DefaultSubscribeAuthModes"] == [POOL]
    assert config["DefaultPublishAuthModes"] == [IAM]
    channels = only(template, "AWS::AppSync::ChannelNamespace")
    assert (channels["SubscribeAuthModes"], channels["PublishAuthModes"]) == ([POOL], [IAM])
    assert not template.find_resources("AWS::AppSync::ApiKey")


def test_the_function_may_publish_to_the_namespace_alone_before_it_reads(stack: Stack) -> None:
    make(stack)
    template = Template.from_stack(stack)
    publish = {on for action, on in granted(template, "Consumer") if "appsync" in action}
    (on,) = publish
    assert on.endswith("apis/<PatternApi>/channelNamespace/orders")
    (mapping,) = template.find_resources("AWS::Lambda::EventSourceMapping").values()
    assert any("Policy" in one for one in mapping["DependsOn"])


def test_another_function_may_be_let_publish(stack: Stack) -> None:
    make(stack).grant_publish(function(stack, "Other"))
    assert "appsync:EventPublish" in json.dumps(properties(stack, "IAM::Policy"))
    assert "Other" in json.dumps(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))


def test_metrics_have_the_dimensions_by_which_appsync_emits_them(stack: Stack) -> None:
    live = make(stack)
    assert set(live.metric("4XXError").dimensions or {}) == {"EventAPIId"}
    of_channels = live.metric("ActiveConnections").dimensions or {}
    assert of_channels["ChannelNamespaceName"] == "orders"


def test_what_lets_everybody_see_everything_is_rejected(stack: Stack) -> None:
    with rejected("provider authorizes by an API key: .* after 365 days at most, no client conne"):
        Viewers(provider=provider(Kind.API_KEY, stack))
    with rejected("provider is IAM, with which the server publishes"):
        Viewers(provider=provider(Kind.IAM, stack))
    with rejected("owner is empty"):
        Viewers(provider=by_user_pool(stack), owner="")


@pytest.mark.parametrize("name", ["", "-orders", "orders-", "or/ders", "x" * 51, "o_s", 7])
def test_a_namespace_that_appsync_does_not_take_is_rejected(name: Any, stack: Stack) -> None:
    with rejected("namespace is .*; it must be 1 to 50 letters, digits or dashes"):
        make(stack, namespace=name)


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_that_does_not_say_what_an_item_is_now_is_rejected(
    view: str, stack: Stack
) -> None:
    with rejected(f"The stream of Stack/Pattern/Table has {view}, so nothing says what"):
        make(stack, table=NewTable(stream=dynamodb.StreamViewType[view]))


def own_api(stack: Stack, *kinds: Kind) -> appsync.EventApi:
    config = appsync.EventApiAuthConfig(auth_providers=[provider(kind, stack) for kind in kinds])
    return appsync.EventApi(stack, "Mine", api_name="mine", authorization_config=config)


def test_your_own_api_gets_the_namespace(stack: Stack) -> None:
    api = own_api(stack, Kind.USER_POOL, Kind.IAM)
    live = make(stack, api=api)
    assert live.api is api
    assert len(properties(stack, "AppSync::Api")) == 1
    channels = only(Template.from_stack(stack), "AWS::AppSync::ChannelNamespace")
    assert channels["ApiId"] == stack.resolve(api.api_id)


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ([Kind.USER_POOL], "IAM is needed"),
        ([Kind.OIDC, Kind.IAM], "USER_POOL is needed"),
        ([Kind.USER_POOL, Kind.IAM, Kind.API_KEY], "authorizes by an API key"),
    ],
)
def test_an_api_that_does_not_authorize_viewers_and_iam_is_rejected(
    kinds: list[Kind], problem: str, stack: Stack
) -> None:
    with rejected(f"Stack/Mine.*{problem}"):
        make(stack, api=own_api(stack, *kinds))


def test_an_api_and_a_table_of_another_account_are_rejected() -> None:
    app = App()
    here, there = (
        Stack(app, name, env=Environment(account=str(n) * 12, region="eu-west-1"))
        for n, name in enumerate(("Here", "There"), 1)
    )
    with rejected("api There/Mine .*a namespace is made beside its API"):
        make(here, api=own_api(there, Kind.USER_POOL, Kind.IAM))
    table = dynamodb.Table(
        there, "Table", partition_key=dynamodb.Attribute(name="pk",
                                                         type=dynamodb.AttributeType.STRING),
        stream=dynamodb.StreamViewType.NEW_IMAGE,
    )  # fmt: skip
    with rejected("table There/Table .*a reader is made beside its table"):
        make(here, "Second", table=table)


def test_a_function_of_another_stack_publishes() -> None:
    app = App()
    base, stack = Stack(app, "Base"), Stack(app, "Stack")
    make(stack, consumer=function(base))
    app.synth()
    assert "appsync:EventPublish" in json.dumps(properties(stack, "IAM::Policy"))
