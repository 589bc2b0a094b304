"""What every construct promises of resources in other stacks, accounts, Regions and partitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, NestedStack, Stack, Stage
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.endpoints import Endpoint
from serverless_patterns.patterns.blocks.queues import NewQueue
from tests.api_sqs_lambda.builds import make
from tests.contracts.builds import Build, every_build
from tests.inline import function, properties, rejected, warned
from tests.sns_fifo_fanout.builds import subscribe
from tests.step_functions_saga.builds import make as make_saga
from tests.step_functions_saga.builds import make_intake

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Environment(account="111111111111", region="eu-west-1")
THERE = Environment(account="111111111111", region="us-east-1")
Stacks = tuple[Stack, Stack]


def siblings(app: App) -> Stacks:
    return Stack(app, "Base", env=HERE), Stack(app, "Stack", env=HERE)


def nested_below(app: App) -> Stacks:
    parent = Stack(app, "Base", env=HERE)
    return parent, NestedStack(parent, "Stack")


def parent_of_nested(app: App) -> Stacks:
    parent = Stack(app, "Stack", env=HERE)
    return NestedStack(parent, "Base"), parent


def both_nested(app: App) -> Stacks:
    parent = Stack(app, "Parent", env=HERE)
    return NestedStack(parent, "Base"), NestedStack(parent, "Stack")


LAYOUTS = [siblings, nested_below, parent_of_nested, both_nested]
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def publish_to(topic: sns.ITopic) -> Alarms:
    return Alarms([cloudwatch_actions.SnsAction(topic)])


def own_queue(stack: Stack) -> sqs.Queue:
    kept = sqs.Queue(stack, "Dlq", retention_period=Duration.days(14))
    dead_letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    return sqs.Queue(
        stack, "Own", visibility_timeout=Duration.minutes(1), dead_letter_queue=dead_letters
    )


def deployable(app: App, *stacks: Stack) -> None:
    """Assert that no stack needs itself, over others or not, and no resource in it."""
    app.synth()
    for stack in stacks:
        Template.from_stack(stack)


@every_layout
@every_build("consumer")
def test_a_consumer_of_another_stack_is_used(build: Build, layout: Callable[[App], Stacks]) -> None:
    app = App()
    base, stack = layout(app)
    build.make(stack, "Pattern", consumer=function(base))
    deployable(app, base, stack)
    mappings = Template.from_stack(stack).find_resources("AWS::Lambda::EventSourceMapping")
    (mapping,) = mappings.values()
    allowed = [
        name
        for name, policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").items()
        if "sqs:ReceiveMessage" in json.dumps(policy)
    ]
    assert set(allowed) & set(mapping["DependsOn"])


@every_build("consumer")
def test_a_consumer_whose_role_takes_no_permission_is_warned_of(build: Build, stack: Stack) -> None:
    arn = "arn:aws:iam::111111111111:role/theirs"
    role = iam.Role.from_role_arn(stack, "Theirs", arn, mutable=False)
    build.make(stack, "Pattern", consumer=function(stack, role=role))
    warned(stack, "its own policies must allow receiving and deleting messages of Stack/Pattern")


@every_build("consumer")
def test_two_stacks_share_a_consumer_and_neither_takes_the_others_permission(build: Build) -> None:
    app = App()
    consumer = function(Stack(app, "Base"))
    stacks = [Stack(app, name) for name in ("One", "Two")]
    for stack in stacks:
        build.make(stack, "Pattern", consumer=consumer)
    app.synth()
    names = [
        {
            policy["PolicyName"]
            for policy in properties(stack, "IAM::Policy")
            if "sqs:ReceiveMessage" in json.dumps(policy)
        }
        for stack in stacks
    ]
    assert all(names)
    assert not names[0] & names[1]


@every_layout
@every_build("endpoint")
def test_an_api_of_another_stack_gets_the_method(
    build: Build, layout: Callable[[App], Stacks]
) -> None:
    deployments: list[str] = []
    for path in ("orders", "returns"):
        app = App()
        base, stack = layout(app)
        api = apigateway.RestApi(base, "Api")
        api.root.add_method("GET")
        schema = apigateway.JsonSchema(title=path)
        made = build.make(stack, "Pattern", endpoint=Endpoint(path, api=api, schema=schema))
        made.entry.grant_execute(function(stack, "Caller"))
        deployable(app, base, stack)
        template = Template.from_stack(base)
        assert {"POST", "GET"} <= {method["HttpMethod"] for method in of(template, "Method")}
        deployments += template.find_resources("AWS::ApiGateway::Deployment")
    assert len(set(deployments)) == 2, "a changed method is deployed"


def test_what_is_in_the_stack_of_the_api_cannot_be_needed_here() -> None:
    app = App()
    base, stack = siblings(app)
    endpoint, near = Endpoint(api=apigateway.RestApi(base, "Api")), function(stack)
    cases: dict[str, dict[str, Any]] = {
        "consumer Base/Consumer": {"consumer": function(base)},
        "encryption_key Base/Key": {"queue": NewQueue(encryption_key=kms.Key(base, "Key"))},
        "The topic of alarms Base/Topic": {"alarms": publish_to(sns.Topic(base, "Topic"))},
    }
    for name, given in cases.items():
        with rejected(f"{name} is in the stack of Base/Api. That stack needs this one"):
            make(stack, name[:5], **{"consumer": near, "endpoint": endpoint} | given)


@every_layout
def test_one_of_the_stack_of_an_api_or_a_parked_queue_may_be_granted(
    layout: Callable[[App], Stacks],
) -> None:
    app = App()
    base, stack = layout(app)
    endpoint = Endpoint(api=apigateway.RestApi(base, "Api"))
    make_saga(stack, endpoint=endpoint).grant_execute(function(base, "Caller"))
    app2 = App()
    there, here = layout(app2)
    made = make_saga(here, parked_queue=sqs.Queue(there, "Parked"))
    made.grant_resolve(function(there, "Person"))
    deployable(app, base, stack)
    deployable(app2, there, here)


@pytest.mark.parametrize("layout", [siblings, both_nested])
def test_constructs_by_which_stacks_need_each_other_are_rejected(
    layout: Callable[[App], Stacks],
) -> None:
    base, stack = layout(App())
    make(base, consumer=function(stack, "Near"))
    with rejected("Base, which needs .*Stack already, for The consumer .*Near: stacks that need"):
        make(stack, consumer=function(base, "Far"))
    base, stack = layout(App())
    make(stack, endpoint=Endpoint(api=apigateway.RestApi(base, "Api")))
    with rejected("topic .*Base/Topic is in .* needs .* already, for What the API calls, .*Stack"):
        subscribe(stack, topic=sns.Topic(base, "Topic", fifo=True))
    base, stack = layout(App())
    queue = own_queue(base)
    make(stack, endpoint=Endpoint(api=apigateway.RestApi(base, "Api")), queue=queue)


@every_build("endpoint")
def test_a_usage_plan_is_beside_its_api(build: Build) -> None:
    app = App()
    base, stack = siblings(app)
    api, plan = apigateway.RestApi(base, "Api"), apigateway.UsagePlan(stack, "Plan")
    with rejected("usage_plan Stack/Plan needs the stage of Base/Api, whose stack needs this one"):
        build.make(stack, "Pattern", endpoint=Endpoint(api=api, usage_plan=plan))
    plan = apigateway.UsagePlan(base, "Plan")
    build.make(stack, "Other", endpoint=Endpoint(api=api, usage_plan=plan))
    deployable(app, base, stack)


def test_a_step_in_the_stack_of_the_api_cannot_be_needed_here() -> None:
    app = App()
    base, stack = siblings(app)
    endpoint = Endpoint(api=apigateway.RestApi(base, "Api"))
    cases: dict[str, dict[str, Any]] = {
        "starter Base/Consumer": {"consumer": function(base)},
        "parked_queue Base/Parked": {"parked_queue": sqs.Queue(base, "Parked")},
        "encryption_key Base/Key": {"encryption_key": kms.Key(base, "Key")},
        "queue Base/Queue": {"queue": sqs.Queue(base, "Queue")},
        "The topic of alarms Base/Topic": {"alarms": publish_to(sns.Topic(base, "Topic"))},
    }
    for name, given in cases.items():
        with rejected(f"{name} is in the stack of Base/Api. That stack needs this one"):
            make_intake(stack, name[-6:], endpoint=endpoint, **given)


@every_build("endpoint")
def test_an_authorizer_of_another_stack_than_its_api_is_rejected(build: Build) -> None:
    for own in (False, True):
        app = App()
        base, stack = siblings(app)
        handler = function(base, "Handler")
        authorizer = apigateway.TokenAuthorizer(base, "Authorizer", handler=handler)
        if own:
            endpoint = Endpoint(authorizer=authorizer, api=apigateway.RestApi(base, "Api"))
            build.make(stack, "Pattern", endpoint=endpoint)
            app.synth()
            continue
        with rejected("Authorizer is in another stack than the API .* the authorizer in Stack"):
            build.make(stack, "Pattern", endpoint=Endpoint(authorizer=authorizer))


@every_build("consumer")
def test_a_consumer_of_a_stack_without_this_ones_account_and_region_is_rejected(
    build: Build,
) -> None:
    app = App()
    consumer = function(Stack(app, "Base", env=HERE))
    with rejected(r"Base/Consumer is in stack Base \(aws://1111.*Give both stacks the same env"):
        build.make(Stack(app, "Stack"), "Pattern", consumer=consumer)


@every_build("consumer")
def test_a_consumer_of_another_stage_is_rejected(build: Build) -> None:
    app = App()
    consumer = function(Stack(Stage(app, "One"), "Base"))
    with rejected("One/Base/Consumer is in stack One/Base, .* in another stage, in Two/Stack"):
        build.make(Stack(Stage(app, "Two"), "Stack"), "Pattern", consumer=consumer)


@every_build("endpoint")
def test_an_api_of_another_region_is_rejected(build: Build) -> None:
    app = App()
    api = apigateway.RestApi(Stack(app, "Base", env=THERE), "Api")
    with rejected("The API Base/Api is in stack Base .*Give both stacks the same env"):
        build.make(Stack(app, "Stack", env=HERE), "Pattern", endpoint=Endpoint(api=api))


def test_the_consumer_of_another_stack_may_also_call_the_api() -> None:
    app = App()
    base, stack = siblings(app)
    consumer = function(base)
    make(stack, consumer=consumer).grant_execute(consumer)
    deployable(app, base, stack)


@every_build("queue", "consumer")
def test_a_queue_that_has_a_consumer_already_is_rejected(build: Build, stack: Stack) -> None:
    queue = own_queue(stack)
    build.make(stack, "One", queue=queue, consumer=function(stack, "First"))
    with rejected("Stack/Own has a consumer already, Stack/First: .*never to both"):
        build.make(stack, "Two", queue=queue, consumer=function(stack, "Second"))


def of(template: Template, kind: str) -> list[dict[str, Any]]:
    found = template.find_resources(f"AWS::ApiGateway::{kind}").values()
    return [resource["Properties"] for resource in found]


@every_layout
@every_build("queue", "alarms")
def test_a_key_and_a_topic_for_alarms_of_another_stack_are_used(
    build: Build, layout: Callable[[App], Stacks]
) -> None:
    app = App()
    base, stack = layout(app)
    alarms = Alarms([cloudwatch_actions.SnsAction(sns.Topic(base, "Topic"))])
    queue = NewQueue(encryption_key=kms.Key(base, "Key"))
    build.make(stack, "Pattern", queue=queue, alarms=alarms)
    deployable(app, base, stack)


@every_layout
@every_build("queue")
def test_a_queue_of_another_stack_is_used(build: Build, layout: Callable[[App], Stacks]) -> None:
    app = App()
    base, stack = layout(app)
    build.make(stack, "Pattern", queue=own_queue(base))
    deployable(app, base, stack)


@every_build("consumer")
def test_a_consumer_of_another_account_or_region_is_rejected(build: Build) -> None:
    app = App()
    stack = Stack(app, "Stack", env=HERE)
    elsewhere = {
        "Region us-east-1": THERE,
        "account 222222222222": Environment(account="222222222222", region="eu-west-1"),
    }
    for place, env in elsewhere.items():
        consumer = function(Stack(app, place[:6], env=env))
        with rejected(f"Consumer is in {place}, but .* of its function"):
            build.make(stack, f"Pattern{place[:1]}", consumer=consumer)


@every_build("queue")
def test_a_queue_of_another_region_is_rejected(build: Build) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", "arn:aws:sqs:us-east-1:111111111111:theirs")
    with rejected("Theirs is in Region us-east-1, but Lambda polls .*eu-west-1, only"):
        build.make(stack, "Pattern", queue=theirs)


@every_build("queue")
def test_a_queue_of_another_partition_is_rejected(build: Build) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    arn = "arn:aws-cn:sqs:eu-west-1:111111111111:theirs"
    with rejected("Stack/Theirs is arn:aws-cn:.*, of the partition aws-cn, but this stack is in"):
        build.make(stack, "Pattern", queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))


@every_build("topic")
def test_a_topic_of_another_partition_is_rejected(build: Build) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    arn = "arn:aws-cn:sns:eu-west-1:111111111111:theirs.fifo"
    if build.slug == "sns_fanout":
        arn = arn.removesuffix(".fifo")
    with rejected("Stack/Theirs is arn:aws-cn:.*, of the partition aws-cn, but this stack is in"):
        build.make(stack, "Pattern", topic=sns.Topic.from_topic_arn(stack, "Theirs", arn))


@every_build("queue")
def test_a_queue_of_another_account_is_used_without_alarms_or_rejected(
    build: Build,
) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", "arn:aws:sqs:eu-west-1:222222222222:theirs")
    # Nobody would confirm a subscription.
    if build.slug.startswith("sns") or "subscriber" in build.name:
        with rejected("Subscribe the queue in a stack of 222222222222"):
            build.make(stack, "Pattern", queue=theirs)
        return
    build.make(stack, "Pattern", queue=theirs)
    dimensions = [alarm.get("Dimensions") for alarm in properties(stack, "CloudWatch::Alarm")]
    assert "theirs" not in json.dumps(dimensions)
    warned(stack, "It is in account 222222222222.*alarms.*policy")


@every_build("queue")
@pytest.mark.parametrize("place", ["us-east-1:111111111111", "eu-west-1:222222222222"])
def test_a_dead_letter_queue_of_another_account_or_region_is_rejected(
    build: Build, place: str
) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", f"arn:aws:sqs:{place}:theirs")
    dead_letters = sqs.DeadLetterQueue(queue=theirs, max_receive_count=5)
    own = sqs.Queue(
        stack, "Own", visibility_timeout=Duration.minutes(1), dead_letter_queue=dead_letters
    )
    with rejected("Own is in .*Stack/Theirs in .*: a failed message cannot go there"):
        build.make(stack, "Pattern", queue=own)


@every_build("alarms")
def test_a_topic_of_another_region_for_alarms_is_rejected(build: Build) -> None:
    app = App()
    stack = Stack(app, "Stack", env=HERE)
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    for topic in (
        sns.Topic(Stack(app, "Base", env=THERE), "Topic"),
        sns.Topic.from_topic_arn(stack, "Theirs", arn),
    ):
        alarms = Alarms([cloudwatch_actions.SnsAction(topic)])
        with rejected("a topic of Region us-east-1, but .* eu-west-1, only: nobody would hear"):
            build.make(stack, f"Pattern{topic.node.id}", alarms=alarms)


@every_build("alarms")
def test_a_topic_of_another_partition_for_alarms_is_rejected(build: Build) -> None:
    stack = Stack(App(), "Stack", env=HERE)
    topic = sns.Topic.from_topic_arn(stack, "T", "arn:aws-cn:sns:eu-west-1:111111111111:theirs")
    with rejected("topic of alarms is arn:aws-cn:.*, of the partition aws-cn, but this stack"):
        build.make(stack, "Pattern", alarms=publish_to(topic))


@every_build("alarms")
def test_a_topic_of_another_account_for_alarms_is_warned_of_or_rejected(build: Build) -> None:
    app = App()
    stack = Stack(app, "Stack", env=HERE)
    imported = sns.Topic.from_topic_arn(stack, "T", "arn:aws:sns:eu-west-1:222222222222:theirs")
    build.make(stack, "Pattern", alarms=Alarms([cloudwatch_actions.SnsAction(imported)]))
    warned(stack, "topic of account 222222222222.*policy must allow sns:Publish", "*")
    env = Environment(account="222222222222", region="eu-west-1")
    own = sns.Topic(Stack(app, "Base", env=env), "Topic")
    with rejected(r"Base/Topic is in stack Base \(aws://2222.*import the resource by its ARN"):
        build.make(stack, "Own", alarms=Alarms([cloudwatch_actions.SnsAction(own)]))


@every_build()
@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_every_partition_has_its_own_arns(build: Build, region: str) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region=region))
    build.make(stack, "Pattern")
    text = json.dumps(Template.from_stack(stack).to_json()["Resources"])
    assert "arn:aws:" not in text
    assert ".amazonaws.com/" not in text
