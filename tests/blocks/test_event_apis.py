"""Channels of AppSync Events: each client sees its own, and nobody but IAM publishes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cognito as cognito
from aws_cdk.assertions import Template
from constructs import Construct

from serverless_patterns.patterns.blocks.event_apis import (
    NewEventApi,
    Viewers,
    event_api_of,
    metric,
    new_channels,
)
from serverless_patterns.sandbox.runtime import node_folder
from tests.appsync_code import give_utils
from tests.inline import function, only, properties, rejected

if TYPE_CHECKING:
    from pathlib import Path

Kind = appsync.AppSyncAuthorizationType
OIDC = appsync.AppSyncOpenIdConnectConfig(oidc_provider="https://id.example")
ASK = """import { readFileSync } from 'node:fs';
import { onSubscribe } from './code.mjs';
const may = (ctx) => {
  try { onSubscribe(ctx); return true; } catch (error) { return error.message !== 'Unauthorized'; }
};
console.log(JSON.stringify(JSON.parse(readFileSync('given.json')).map(may)));
"""


def make(
    stack: Stack,
    viewers: Viewers | None = None,
    api: Any = None,
    namespace: Any = "orders",
) -> appsync.IEventApi:
    viewers = viewers or Viewers(provider=provider(Kind.USER_POOL, stack))
    found = event_api_of(stack, api or NewEventApi(), viewers)
    new_channels(stack, found, namespace, viewers)
    return found


def provider(kind: Kind, stack: Stack) -> appsync.AppSyncAuthProvider:
    given: dict[str, Any] = {}
    if kind is Kind.USER_POOL:
        pool = cognito.UserPool(stack, f"Users{len(stack.node.children)}")
        given["cognito_config"] = appsync.AppSyncCognitoConfig(user_pool=pool)
    if kind is Kind.OIDC:
        given["open_id_connect_config"] = OIDC
    if kind is Kind.LAMBDA:
        authorizer = function(stack, "Authorizer")
        given["lambda_authorizer_config"] = appsync.AppSyncLambdaAuthorizerConfig(
            handler=authorizer
        )
    return appsync.AppSyncAuthProvider(authorization_type=kind, **given)


@pytest.mark.parametrize("kind", [Kind.USER_POOL, Kind.OIDC, Kind.LAMBDA])
def test_a_client_may_subscribe_to_its_own_channel_only(
    kind: Kind, stack: Stack, tmp_path: Path
) -> None:
    """Node runs the code of the namespace."""
    make(stack, viewers=Viewers(provider=provider(kind, stack), owner="tenant"))
    code = only(Template.from_stack(stack), "AWS::AppSync::ChannelNamespace")["CodeHandlers"]
    give_utils(tmp_path)
    (tmp_path / "code.mjs").write_text(code)
    where = "handlerContext" if kind is Kind.LAMBDA else "claims"

    def asks(tenant: Any, *segments: str) -> Any:
        identity = {where: {"tenant": tenant, "sub": "s"}, "sub": "s"}
        return {"identity": identity, "info": {"channel": {"segments": segments}}}

    undefined = {"info": {"channel": {"segments": ["orders", "undefined"]}}}
    asked = [
        asks("one", "orders", "one"),
        asks("one", "orders", "two"),
        asks("one", "orders", "*"),
        asks("*", "orders", "*"),
        asks("one", "orders", "one", "more"),
        asks("one", "orders", "one", "*"),
        asks("one", "orders"),
        asks(None, "orders", "null"),
        asks("one", "orders", "s"),
        undefined | {"identity": {where: {}}},
        undefined | {"identity": {}},
    ]
    (tmp_path / "given.json").write_text(json.dumps(asked))
    (tmp_path / "ask.mjs").write_text(ASK)
    answers = subprocess.check_output([f"{node_folder()}/node", "ask.mjs"], cwd=tmp_path)
    assert json.loads(answers) == [True, *[False] * (len(asked) - 1)]


def test_metrics_have_the_dimensions_by_which_appsync_emits_them(stack: Stack) -> None:
    api = make(stack)
    assert set(metric(api, "orders", "4XXError").dimensions or {}) == {"EventAPIId"}
    of_channels = metric(api, "orders", "ActiveConnections").dimensions or {}
    assert of_channels["ChannelNamespaceName"] == "orders"


def test_a_function_may_authorize_the_clients_of_two_apis(stack: Stack) -> None:
    viewers = Viewers(provider=provider(Kind.LAMBDA, stack))
    for name in ("One", "Two"):
        event_api_of(Construct(stack, name), NewEventApi(), viewers)
    allowed = [one["SourceArn"]["Fn::GetAtt"][0] for one in properties(stack, "Lambda::Permission")]
    assert {*allowed} == {*Template.from_stack(stack).find_resources("AWS::AppSync::Api")}


def test_what_lets_everybody_see_everything_is_rejected(stack: Stack) -> None:
    with rejected("provider authorizes by an API key: .* after 365 days at most, no client conne"):
        Viewers(provider=provider(Kind.API_KEY, stack))
    with rejected("provider is IAM, with which the server publishes"):
        Viewers(provider=provider(Kind.IAM, stack))
    with rejected("owner is empty"):
        Viewers(provider=provider(Kind.USER_POOL, stack), owner="")


@pytest.mark.parametrize("name", ["", "-orders", "orders-", "or/ders", "x" * 51, "o_s", 7])
def test_a_namespace_that_appsync_does_not_take_is_rejected(name: Any, stack: Stack) -> None:
    with rejected("namespace is .*; it must be 1 to 50 letters, digits or dashes"):
        make(stack, namespace=name)


def own_api(stack: Stack, *kinds: Kind, connect: Kind | None = None) -> appsync.EventApi:
    config = appsync.EventApiAuthConfig(
        auth_providers=[provider(kind, stack) for kind in kinds],
        connection_auth_mode_types=[connect] if connect else None,
    )
    return appsync.EventApi(stack, "Mine", api_name="mine", authorization_config=config)


@pytest.mark.parametrize(
    ("kinds", "connect", "problem"),
    [
        ([Kind.USER_POOL], None, "Stack/Mine.*IAM is needed"),
        ([Kind.OIDC, Kind.IAM], None, "Stack/Mine.*USER_POOL is needed"),
        ([Kind.USER_POOL, Kind.USER_POOL, Kind.IAM], None, "Stack/Mine.* by several USER_POOL"),
        ([Kind.USER_POOL, Kind.IAM, Kind.API_KEY], None, "Stack/Mine.*authorizes by an API key"),
        ([Kind.USER_POOL, Kind.IAM], Kind.IAM, "No viewer can connect to Stack/Mine: it lets AWS_"),
    ],
)
def test_an_api_that_does_not_authorize_viewers_and_iam_is_rejected(
    kinds: list[Kind], connect: Kind | None, problem: str, stack: Stack
) -> None:
    with rejected(problem):
        make(stack, api=own_api(stack, *kinds, connect=connect))


def test_the_second_construct_of_a_namespace_is_rejected(stack: Stack) -> None:
    api = make(stack, api=own_api(stack, Kind.USER_POOL, Kind.IAM))
    with rejected("Stack/Mine has orders of another construct already"):
        make(stack, api=api)


def test_an_api_of_another_account_is_rejected() -> None:
    app = App()
    here, there = (
        Stack(app, name, env=Environment(account=str(n) * 12, region="eu-west-1"))
        for n, name in enumerate(("Here", "There"), 1)
    )
    with rejected("api There/Mine .*a namespace is made beside its API"):
        make(here, api=own_api(there, Kind.USER_POOL, Kind.IAM))
