"""The function, its destinations and keys in other stacks, Regions, accounts and partitions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, NestedStack, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from tests.async_lambda.builds import CANARY, imported
from tests.inline import function, rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    Two = Callable[[Stack, Stack], Any]

ACCOUNT = "111111111111"
# The CDK's own validator then rejects a circle of resources within a template.
STRICT = {"@aws-cdk/core:validateAgainstDefaultRules": True}


def stacks(layout: str) -> tuple[App, Stack, Stack]:
    """An app, the stack of the function, and that of the construct."""
    app = App(context=STRICT)
    one = Stack(app, "one")
    match layout:
        case "two stacks":
            return app, one, Stack(app, "two")
        case "function nested":
            return app, NestedStack(one, "Nested"), one
        case "construct nested":
            return app, one, NestedStack(one, "Nested")
        case "two nested":
            return app, NestedStack(one, "Nested"), NestedStack(one, "Other")
    return app, NestedStack(one, "Nested"), Stack(app, "two")


LAYOUTS = ["two stacks", "function nested", "construct nested", "two nested", "nested, and another"]
# By the id of what is given: the settings, made of the function's stack and the construct's.
GIVEN: dict[str, Two] = {
    "Function": lambda f, _: {"function": function(f, "Own")},
    "Alias": lambda f, _: {"function": function(f, "Aliased").add_alias("live")},
    "Queue": lambda _, o: {"on_failure": sqs.Queue(o, "OwnQueue")},
    "Topic": lambda _, o: {"on_failure": sns.Topic(o, "OwnTopic", master_key=kms.Key(o, "Key1"))},
    "Bucket": lambda _, o: {"on_failure": s3.Bucket(o, "Own", encryption_key=kms.Key(o, "Key2"))},
    "Bus": lambda _, o: {"on_success": events.EventBus(o, "OwnBus")},
    "Success": lambda _, o: {"on_success": function(o, "Other")},
    "There": lambda f, _: {"on_failure": sqs.Queue(f, "Q"), "dead_letter_queue": sqs.Queue(f, "D")},
    "Key": lambda f, _: {"encryption_key": kms.Key(f, "Key3")},
}
NEED = "they would need each other"
REJECTED: dict[str, tuple[Two, str]] = {
    "rollout": (lambda _f, _o: {"rollout": CANARY}, "its versions, and the alias"),
    "queue": (lambda _, o: {"dead_letter_queue": sqs.Queue(o, "Queue")}, NEED),
    "key": (lambda _, o: {"encryption_key": kms.Key(o, "Key")}, NEED),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stacks_of_function_and_construct_do_not_need_each_other(layout: str) -> None:
    app, of_function, here = stacks(layout)
    for name, given in GIVEN.items():
        settings = given(of_function, here)
        own = settings.pop("function", None) or function(of_function, f"{name}Function")
        made = AsyncLambda(here, name, function=own, **settings)
        for stack in (of_function, here):
            caller = iam.Role(stack, f"{name}Caller", assumed_by=iam.AccountRootPrincipal())
            made.grant_redrive(caller)
    app.synth()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("given", REJECTED)
def test_what_would_make_them_need_each_other_is_rejected(given: str, layout: str) -> None:
    _, of_function, here = stacks(layout)
    make, problem = REJECTED[given]
    with pytest.raises(ValueError, match=problem):
        AsyncLambda(here, "Pattern", function=function(of_function), **make(of_function, here))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_version_of_another_stack_is_used_only_where_no_export_has_its_number(
    layout: str,
) -> None:
    app, of_function, here = stacks(layout)
    exported = layout in ("two stacks", "nested, and another")
    with rejected("would change an export that is in use" if exported else None):
        AsyncLambda(here, "Pattern", function=function(of_function).current_version)
        app.synth()


def test_a_role_of_a_third_stack_is_granted_in_this_one() -> None:
    app, roles, here = stacks("two stacks")
    role = iam.Role(roles, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    AsyncLambda(here, "Pattern", function=function(here, role=role))
    app.synth()
    template = Template.from_stack(here)
    ((policy, _),) = template.find_resources("AWS::IAM::Policy").items()
    for kind in ("AWS::Lambda::Function", "AWS::Lambda::EventInvokeConfig"):
        ((_, resource),) = template.find_resources(kind).items()
        assert policy in resource["DependsOn"], "Lambda asks for the permission"


def test_settings_of_an_imported_function_wait_for_its_permissions(stack: Stack) -> None:
    AsyncLambda(stack, "Pattern", function=imported(stack))
    template = Template.from_stack(stack)
    ((policy, _),) = template.find_resources("AWS::IAM::Policy").items()
    ((_, config),) = template.find_resources("AWS::Lambda::EventInvokeConfig").items()
    assert policy in config["DependsOn"]


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_nothing_is_of_the_partition_aws_elsewhere(region: str) -> None:
    stack = Stack(App(), "Stack", env=Environment(account=ACCOUNT, region=region))
    made = AsyncLambda(stack, "Pattern", function=function(stack), rollout=CANARY)
    made.grant_redrive(iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal()))
    assert "arn:aws:" not in json.dumps(Template.from_stack(stack).to_json())


def test_a_version_published_before_gets_a_warning_of_its_dead_letter_queue(stack: Stack) -> None:
    own = function(stack)
    fixed = lambda_.Version(stack, "Fixed", lambda_=own)
    AsyncLambda(stack, "Pattern", function=lambda_.Alias(stack, "A", alias_name="a", version=fixed))
    AsyncLambda(stack, "Current", function=own.current_version)
    told = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("published"))
    assert [message.id for message in told] == ["/Stack/A"]
