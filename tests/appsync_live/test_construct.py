"""The promises of the construct beyond those of every reader of a stream and of every alarm."""

from __future__ import annotations

import json

from aws_cdk import App, Stack
from aws_cdk.assertions import Template
from aws_cdk.aws_cognito import UserPool
from aws_cdk.aws_dynamodb import StreamViewType

from serverless_patterns.patterns.appsync_live.construct import NewTable
from serverless_patterns.patterns.blocks.event_apis import NewEventApi, Viewers, event_api_of
from tests.inline import function, granted, only, properties, rejected

from .builds import make

POOL, IAM = {"AuthType": "AMAZON_COGNITO_USER_POOLS"}, {"AuthType": "AWS_IAM"}


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
    [on] = {on for action, on in granted(template, "Consumer") if "appsync" in action}
    assert on.endswith("apis/<PatternApi>/channelNamespace/orders")
    [mapping] = template.find_resources("AWS::Lambda::EventSourceMapping").values()
    assert any("Policy" in one for one in mapping["DependsOn"])


def test_another_function_may_be_let_publish_and_so_may_one_of_another_stack() -> None:
    app = App()
    base, stack = Stack(app, "Base"), Stack(app, "Stack")
    make(stack, consumer=function(base)).grant_publish(function(stack, "Other"))
    app.synth()
    publishing = [p for p in properties(stack, "IAM::Policy") if "EventPublish" in json.dumps(p)]
    roles = json.dumps([policy["Roles"] for policy in publishing])
    assert "Other" in roles
    assert "Base" in roles


def test_a_stream_without_new_images_is_rejected(stack: Stack) -> None:
    with rejected("has KEYS_ONLY, so nothing says what a changed item is now"):
        make(stack, table=NewTable(stream=StreamViewType.KEYS_ONLY))


def test_your_own_api_gets_the_namespace(stack: Stack) -> None:
    viewers = Viewers.of_user_pool(UserPool(stack, "Users"))
    api = event_api_of(stack, NewEventApi(), viewers)
    assert make(stack, viewers=viewers, api=api).api is api
    assert len(properties(stack, "AppSync::Api")) == 1
    channels = only(Template.from_stack(stack), "AWS::AppSync::ChannelNamespace")
    assert channels["ApiId"] == stack.resolve(api.api_id)
