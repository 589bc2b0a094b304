"""One configuration of asynchronous invocation for a function, and who may invoke it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from serverless_patterns.patterns.blocks.invocations import grant_invoke
from tests.async_lambda.builds import CANARY
from tests.inline import function, properties, rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from constructs import Construct

FUNCTION_ARN = "arn:aws:lambda:us-east-1:111111111111:function:theirs"
ACCOUNT = "111111111111"
LAMBDA = iam.ServicePrincipal("lambda.amazonaws.com")


def imported(scope: Construct, construct_id: str = "Theirs", **settings: Any) -> lambda_.IFunction:
    role = iam.Role.from_role_arn(scope, f"{construct_id}Role", "arn:aws:iam::111111111111:role/x")
    return lambda_.Function.from_function_attributes(
        scope, construct_id, function_arn=FUNCTION_ARN, role=role, **settings
    )


# A second configuration


@pytest.mark.parametrize("rollout", [None, CANARY])
def test_a_second_construct_for_a_function_is_rejected(stack: Stack, rollout: Any) -> None:
    own = function(stack)
    AsyncLambda(stack, "First", function=own, rollout=rollout)
    with pytest.raises(ValueError, match=r"Stack/First and Stack/Second, but Lambda keeps one"):
        AsyncLambda(stack, "Second", function=own, rollout=rollout)


def test_an_alias_has_a_configuration_of_its_own(stack: Stack) -> None:
    own = function(stack)
    for construct_id, one in (("Function", own), ("Alias", own.add_alias("live"))):
        AsyncLambda(stack, construct_id, function=one)
    Template.from_stack(stack).resource_count_is("AWS::Lambda::EventInvokeConfig", 2)


def cfn(stack: Stack, name: str, qualifier: str) -> None:
    lambda_.CfnEventInvokeConfig(stack, "Plain", function_name=name, qualifier=qualifier)


PLAIN: dict[str, Callable[[Stack, lambda_.Function], Any]] = {
    "a construct of the CDK": lambda s, own: lambda_.EventInvokeConfig(s, "Plain", function=own),
    "the function's method": lambda _, own: own.configure_async_invoke(retry_attempts=0),
    "a resource by name": lambda s, own: cfn(s, own.function_name, "$LATEST"),
    "a resource by ARN": lambda s, own: cfn(s, own.function_arn, "$LATEST"),
}
OF_AN_ALIAS: dict[str, Callable[[Stack, lambda_.Alias], Any]] = {
    "the alias's method": lambda _, alias: alias.configure_async_invoke(retry_attempts=0),
    "a resource by name": lambda s, alias: cfn(s, alias.lambda_.function_name, "live"),
}
TWO = r"Stack/Consumer \({}\) has two configurations"


@pytest.mark.parametrize("kind", PLAIN)
def test_a_configuration_that_the_cdk_makes_later_is_rejected_at_synthesis(
    stack: Stack, kind: str
) -> None:
    own = function(stack)
    AsyncLambda(stack, "Pattern", function=own)
    PLAIN[kind](Stack(cast("App", stack.node.root), "Other"), own)  # in any stack
    with pytest.raises(RuntimeError, match=TWO.format(r"\$LATEST")):
        Template.from_stack(stack)


def test_a_configuration_that_the_cdk_made_earlier_is_rejected_at_synthesis(stack: Stack) -> None:
    own = function(stack)
    PLAIN["a construct of the CDK"](stack, own)
    AsyncLambda(stack, "Pattern", function=own)
    with pytest.raises(RuntimeError, match=TWO.format(r"\$LATEST")):
        Template.from_stack(stack)


@pytest.mark.parametrize("kind", OF_AN_ALIAS)
def test_a_second_configuration_of_an_alias_is_rejected_at_synthesis(
    stack: Stack, kind: str
) -> None:
    alias = function(stack).add_alias("live")
    AsyncLambda(stack, "Pattern", function=alias)
    OF_AN_ALIAS[kind](stack, alias)
    with pytest.raises(RuntimeError, match=TWO.format("live")):
        Template.from_stack(stack)


def test_two_imports_of_one_function_are_one_function() -> None:
    app = App()
    stacks = [
        Stack(app, name, env=Environment(account=ACCOUNT, region=region))
        for name, region in (("Here", "us-east-1"), ("There", "eu-west-1"), ("Too", "us-east-1"))
    ]
    for stack in stacks[:2]:
        one = lambda_.Function.from_function_name(stack, "Theirs", "theirs")
        lambda_.EventInvokeConfig(stack, "Plain", function=one)
    AsyncLambda(stacks[2], "Pattern", function=imported(stacks[2]))
    with pytest.raises(RuntimeError, match=r"two .*, Here/Plain/Resource and Too/Pattern") as error:
        app.synth()
    assert "There/" not in str(error.value), "that is another function of the same name"


def test_a_circle_of_successes_is_rejected(stack: Stack) -> None:
    one, two, three = (function(stack, name) for name in ("One", "Two", "Three"))
    AsyncLambda(stack, "A", function=one, on_success=two, on_failure=three)
    AsyncLambda(stack, "B", function=two, on_success=three.add_alias("live"))
    with pytest.raises(ValueError, match="Three leads back to it, by Stack/One and Stack/Two: "):
        AsyncLambda(stack, "C", function=three, on_success=one)


def test_a_chain_of_successes_ends(stack: Stack) -> None:
    one, two, three = (function(stack, name) for name in ("One", "Two", "Three"))
    AsyncLambda(stack, "B", function=two, on_success=three, on_failure=one)
    AsyncLambda(stack, "A", function=one, on_success=two)


@pytest.mark.parametrize("alias", [False, True])
def test_functions_may_be_each_others_destinations(stack: Stack, alias: bool) -> None:
    one, two, three = (function(stack, name) for name in ("One", "Two", "Three"))
    aliased = three.add_alias("live") if alias else three
    AsyncLambda(stack, "A", function=one, on_success=two, on_failure=aliased)
    AsyncLambda(stack, "B", function=two, on_failure=one)
    AsyncLambda(stack, "C", function=aliased, on_failure=two)
    template = Template.from_stack(stack)  # it rejects a circle
    configs = template.find_resources("AWS::Lambda::EventInvokeConfig")
    for name, policy in template.find_resources("AWS::IAM::Policy").items():
        if "lambda:InvokeFunction" in str(policy):  # Lambda asks for it
            assert sum(name in config["DependsOn"] for config in configs.values()) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_functions_that_wait_for_each_others_imported_roles_are_rejected(
    stack: Stack, shared: bool
) -> None:
    arn = "arn:aws:iam::111111111111:role/x"
    roles = [iam.Role.from_role_arn(stack, name, arn + name) for name in ("RoleA", "RoleB")]
    one = function(stack, "One", role=roles[0])
    two = function(stack, "Two", role=roles[0 if shared else 1])
    with rejected("Stack/One and Stack/Two would wait|Stack/Two and Stack/One would wait"):
        AsyncLambda(stack, "A", function=one, on_failure=two)
        AsyncLambda(stack, "B", function=two, on_failure=one)


def test_functions_may_invoke_each_other(stack: Stack) -> None:
    functions = [function(stack, name) for name in ("One", "Two", "Three")]
    made = [AsyncLambda(stack, f"A{f.node.id}", function=f) for f in functions]
    for one in made:
        for other in functions:
            one.grant_invoke(other)
    functions[0].add_environment("NEXT", functions[1].function_name)
    Template.from_stack(stack)  # it rejects a circle


def test_functions_of_two_stacks_may_invoke_each_other() -> None:
    app = App()
    stacks = [Stack(app, name) for name in ("One", "Two")]
    functions = [function(stack) for stack in stacks]
    one, two = (AsyncLambda(f.stack, "Async", function=f) for f in functions)
    one.grant_invoke(functions[1])
    two.grant_invoke(functions[0])
    app.synth()  # it rejects a circle
    policies = [json.dumps(properties(stack, "IAM::Policy")) for stack in stacks]
    assert [text.count("lambda:InvokeFunction") for text in policies] == [0, 2]


def test_two_stacks_that_grant_a_role_keep_each_its_own_policy_of_it() -> None:
    app = App()
    base = Stack(app, "Base")
    role = iam.Role(base, "Role", path="/team/", assumed_by=LAMBDA)
    shared = function(base, role=role)
    stacks = [Stack(app, name) for name in ("One", "Two")]
    for stack in stacks:  # which needs the stack of the role
        made = AsyncLambda(stack, "Async", function=function(stack), on_failure=shared)
        made.grant_invoke(shared)
    app.synth()
    names, roles = set(), []
    for stack in stacks:
        for policy in properties(stack, "IAM::Policy"):
            if "ImportValue" in json.dumps(policy["Roles"]):
                names.add(policy["PolicyName"])
                roles += policy["Roles"]
    assert len(names) == 2
    assert "Split" not in json.dumps(roles), "an ARN's last part but one may be its path"


def test_destinations_by_which_two_stacks_need_each_other_are_rejected() -> None:
    app = App()
    one, two = (function(Stack(app, name), "Run") for name in ("One", "Two"))
    AsyncLambda(one.stack, "Async", function=one, on_success=two)
    with rejected("on_failure One/Run is in stack One, .* needs Two already, for on_success Two/R"):
        AsyncLambda(two.stack, "Async", function=two, on_failure=one)


# Who may invoke


def conditional(principal: iam.PrincipalBase, key: str) -> iam.IPrincipal:
    return principal.with_conditions({"StringEquals": {key: ACCOUNT}})


S3 = iam.ServicePrincipal("s3.amazonaws.com")
REJECTED: dict[str, tuple[Callable[[Stack], iam.IGrantable], str]] = {
    "a service": (lambda _: S3, "s3.amazonaws.com invoke the function for anybody's resources"),
    "a service behind another principal": (lambda _: iam.SessionTagsPrincipal(S3), "anybody's"),
    "a service by a tag": (lambda _: conditional(S3, "aws:PrincipalTag/team"), "anybody's"),
    "everybody": (lambda _: iam.AnyPrincipal(), "any AWS account"),
    "several": (
        lambda _: iam.CompositePrincipal(iam.AccountPrincipal(ACCOUNT), S3),
        "2 principals, of which only one",
    ),
    "a canonical user": (lambda _: iam.CanonicalUserPrincipal("a"), "Lambda allows roles, users"),
    "a function without its role": (
        lambda s: lambda_.Function.from_function_name(s, "Other", "other"),
        "imported without its role",
    ),
}


@pytest.mark.parametrize("grantee", REJECTED)
def test_a_grant_that_allows_too_many_or_nobody_is_rejected(stack: Stack, grantee: str) -> None:
    make, problem = REJECTED[grantee]
    with pytest.raises(ValueError, match=problem):
        grant_invoke(stack, function(stack), make(stack))


@pytest.mark.parametrize(
    "grantee",
    [
        iam.ServicePrincipal(
            "s3.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": ACCOUNT}}
        ),
        conditional(iam.ServicePrincipal("s3.amazonaws.com"), "aws:SourceAccount"),
        conditional(iam.AnyPrincipal(), "aws:PrincipalOrgID"),
        iam.AccountPrincipal("222222222222"),
    ],
)
def test_a_grant_for_a_source_an_organization_or_an_account_is_made(
    stack: Stack, grantee: iam.IGrantable
) -> None:
    grant_invoke(stack, function(stack), grantee)
    (permission,) = Template.from_stack(stack).find_resources("AWS::Lambda::Permission").values()
    made = permission["Properties"]
    limits = {"SourceAccount", "PrincipalOrgID"} & made.keys()
    assert limits or made["Principal"] == "222222222222"


def test_an_imported_function_says_how_it_can_be_granted(stack: Stack) -> None:
    role = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    with pytest.raises(ValueError, match="same_environment=True"):
        grant_invoke(stack, imported(stack), role)
