"""The shims for AppSync Events and its tokens: the gap without each, and the right behavior."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from serverless_patterns.lambdas.foundation import channels

from . import helpers as cfn

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

# The code of a namespace where a client subscribes to its own channel only.
OWN_ONLY = """import { util } from '@aws-appsync/utils';
export function onSubscribe(ctx) {
  if (ctx.info.channel.segments[1] !== ctx.identity.claims.sub) { util.unauthorized(); }
}
"""
PASSWORD = "Secret1!secret"
IAM, POOL = {"AuthType": "AWS_IAM"}, {"AuthType": "AMAZON_COGNITO_USER_POOLS"}
EVENT_API = cfn.template(
    {
        "Api": cfn.resource(
            "AppSync::Api",
            Name="live",
            EventConfig={
                "AuthProviders": [IAM, POOL | {"CognitoConfig": {"UserPoolId": "us-east-1_x",
                                                                 "AwsRegion": "us-east-1"}}],
                "ConnectionAuthModes": [POOL],
                "DefaultPublishAuthModes": [IAM],
                "DefaultSubscribeAuthModes": [POOL],
            },
        ),
        "Channels": cfn.resource(
            "AppSync::ChannelNamespace",
            ApiId={"Fn::GetAtt": ["Api", "ApiId"]},
            Name="orders",
            PublishAuthModes=[IAM],
            SubscribeAuthModes=[POOL],
        ),
    },
    ApiId={"Fn::GetAtt": ["Api", "ApiId"]},
    HttpHost={"Fn::GetAtt": ["Api", "Dns.Http"]},
)  # fmt: skip


def test_an_event_api_of_a_template_is_made_and_removed(
    shared: Target, without_shims: Target
) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        # Else upstream makes it: remove the shim.
        cfn.create_stack(without_shims, "events", EVENT_API)

    stack, appsync = cfn.create_stack(shared, "events", EVENT_API), shared.client("appsync")
    made = appsync.get_api(apiId=stack["ApiId"])["api"]
    assert made["dns"]["HTTP"] == stack["HttpHost"]
    assert made["eventConfig"]["connectionAuthModes"] == [{"authType": POOL["AuthType"]}]
    found = appsync.list_channel_namespaces(apiId=stack["ApiId"])["channelNamespaces"]
    assert [one["name"] for one in found] == ["orders"]
    shared.client("cloudformation").delete_stack(StackName="events")
    assert stack["ApiId"] not in [one["apiId"] for one in appsync.list_apis()["apis"]]


def test_a_function_publishes_only_where_its_policy_lets_it(
    shared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = cfn.create_stack(shared, "publishing", EVENT_API)
    iam, api = shared.client("iam"), stack["ApiId"]
    iam.create_user(UserName="publisher")
    arn = f"arn:aws:appsync:us-east-1:{shared.account}:apis/{api}/channelNamespace/others"
    key = iam.create_access_key(UserName="publisher")["AccessKey"]
    for name, value in {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": str(shared.endpoint_url),
        "AWS_CA_BUNDLE": str(shared.certificate),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    body = json.dumps({"channel": "orders/one", "events": ["{}"]}).encode()
    channels._tools.cache_clear()
    try:
        statuses = []
        for resource in (arn, arn.replace("others", "orders")):
            policy = cfn.document(cfn.allow("appsync:EventPublish", resource))
            iam.put_user_policy(
                UserName="publisher", PolicyName="own", PolicyDocument=json.dumps(policy)
            )
            statuses.append(channels.signed_post(f"{stack['HttpHost']}/event", body)[0])
        assert statuses == [403, 200]
    finally:
        channels._tools.cache_clear()
    shared.client("cloudformation").delete_stack(StackName="publishing")


def signed_up(target: Target) -> tuple[str, str, str]:
    """A pool with a user: the pool's id, the user's, and a token."""
    cognito = target.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
    flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="page", ExplicitAuthFlows=flows
    )["UserPoolClient"]["ClientId"]
    user = cognito.admin_create_user(UserPoolId=pool, Username="one", MessageAction="SUPPRESS")
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="one", Password=PASSWORD, Permanent=True
    )
    said = {"USERNAME": "one", "PASSWORD": PASSWORD}
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool, ClientId=client, AuthFlow=flows[0][6:], AuthParameters=said
    )
    [sub] = [it["Value"] for it in user["User"]["Attributes"] if it["Name"] == "sub"]
    return pool, sub, answer["AuthenticationResult"]["IdToken"]


def subscribed(target: Target, dns: dict[str, str], token: str, channel: str) -> bool:
    """Whether a client with this token may subscribe to a channel."""
    said = {"host": dns["HTTP"], "Authorization": token}
    header = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    protocols: Any = ["aws-appsync-event-ws", f"header-{header}"]
    here = urlsplit(str(target.endpoint_url))
    frames = [
        {"type": "connection_init"},
        {"type": "subscribe", "id": "1", "channel": channel, "authorization": said},
    ]
    with connect(
        f"wss://{dns['REALTIME']}/event/realtime",
        subprotocols=protocols,
        proxy=None,
        sock=socket.create_connection((str(here.hostname), here.port or 443)),
        ssl=ssl.create_default_context(cafile=str(target.certificate)),
        server_hostname=str(here.hostname),
    ) as opened:
        with suppress(ConnectionClosed):  # as who is not let in is told, or by an error
            for frame in frames:
                opened.send(json.dumps(frame))
            while not (kind := json.loads(opened.recv(30))["type"]).endswith("error"):
                if kind == "subscribe_success":
                    return True
        return False


def test_a_client_subscribes_with_a_token_that_is_its_own_to_what_the_code_lets_it(
    shared: Target, without_shims: Target
) -> None:
    for target, closed in ((without_shims, False), (shared, True)):
        pool, sub, token = signed_up(target)
        appsync, of_pool = target.client("appsync"), {"userPoolId": pool, "awsRegion": "us-east-1"}
        kind = {"authType": POOL["AuthType"]}
        api = appsync.create_api(
            name="live",
            eventConfig={
                "authProviders": [kind | {"cognitoConfig": of_pool}],
                "connectionAuthModes": [kind],
                "defaultPublishAuthModes": [kind],
                "defaultSubscribeAuthModes": [kind],
            },
        )["api"]
        appsync.create_channel_namespace(
            apiId=api["apiId"], name="orders", subscribeAuthModes=[kind], codeHandlers=OWN_ONLY
        )
        own, forged = f"/orders/{sub}", f"{token[:-6]}AAAAAA"
        assert subscribed(target, api["dns"], token, own)
        # Else upstream runs the code, or verifies the token: remove the shim.
        assert subscribed(target, api["dns"], token, "/orders/another") is not closed
        assert subscribed(target, api["dns"], forged, own) is not closed


def test_a_page_signs_in_without_aws_credentials(shared: Target, without_shims: Target) -> None:
    for target, expected in ((without_shims, 400), (shared, 200)):
        cognito = target.client("cognito-idp")
        pool = cognito.create_user_pool(PoolName="shop")["UserPool"]["Id"]
        client = cognito.create_user_pool_client(
            UserPoolId=pool, ClientName="page", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )["UserPoolClient"]["ClientId"]
        cognito.admin_create_user(UserPoolId=pool, Username="one", MessageAction="SUPPRESS")
        cognito.admin_set_user_password(
            UserPoolId=pool, Username="one", Password="Secret1!secret", Permanent=True
        )
        asked = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
                 "AuthParameters": {"USERNAME": "one", "PASSWORD": "Secret1!secret"}}  # fmt: skip
        answer = target.http.post(
            f"{target.endpoint_url}/",
            json.dumps(asked).encode(),
            {"Content-Type": "application/x-amz-json-1.1",
             "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth"},
            signed=False,
        )  # fmt: skip
        # Else upstream takes it: remove the shim.
        assert answer.status == expected, answer.body
