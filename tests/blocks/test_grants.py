"""Who is granted what a construct has, and waits for nothing that waits for it."""

from __future__ import annotations

import pytest
from aws_cdk import App, Duration, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from serverless_patterns.patterns.kinesis_firehose_s3.construct import (
    KinesisToFirehoseToS3,
    NewStream,
)
from serverless_patterns.patterns.sns_fanout.construct import NewTopic, SnsFanout
from tests.inline import function, properties, warned
from tests.step_functions_saga.builds import make

OTHER = "arn:aws:iam::222222222222:role/theirs"
OWN = "arn:aws:iam::111111111111:role/theirs"


def test_a_step_may_start_answer_and_call_the_saga_that_it_is_a_step_of(stack: Stack) -> None:
    step = function(stack, "Step", timeout=Duration.seconds(3))
    saga = make(stack, resources={"Charge": step})
    for grant in (
        saga.grant_start_execution,
        saga.grant_describe_execution,
        saga.grant_resolve,
        saga.grant_execute,
    ):
        grant(step)
    Template.from_stack(stack)  # it rejects a circle


def test_a_policy_is_granted_what_a_role_is(stack: Stack) -> None:
    policy = iam.ManagedPolicy(stack, "Policy")
    saga = make(stack)
    for grant in (saga.grant_start_execution, saga.grant_resolve, saga.grant_execute):
        grant(policy)
    (made,) = properties(stack, "IAM::ManagedPolicy")
    allowed = str(made["PolicyDocument"])
    for action in ("states:StartExecution", "sqs:ReceiveMessage", "execute-api:Invoke"):
        assert action in allowed


def test_a_function_of_an_asynchronous_invocation_may_start_it_again(stack: Stack) -> None:
    run, failed, done = (function(stack, name) for name in ("Run", "Failed", "Done"))
    made = AsyncLambda(stack, "Async", function=run, on_failure=failed, on_success=done)
    for grantee in (run, failed, done):
        made.grant_invoke(grantee)
        made.grant_redrive(grantee)
    Template.from_stack(stack)  # it rejects a circle


def test_a_function_whose_role_takes_no_permission_is_warned_of(stack: Stack) -> None:
    role = iam.Role.from_role_arn(stack, "Theirs", OWN, mutable=False)
    AsyncLambda(stack, "Async", function=function(stack, role=role))
    warned(stack, "its own policies must allow delivering to the queue Stack/Async/FailureQueue")


@pytest.mark.parametrize(
    ("arn", "mutable", "fixed"), [(OWN, True, False), (OWN, False, True), (OTHER, True, True)]
)
def test_a_role_that_takes_no_permission_is_warned_of(arn: str, mutable: bool, fixed: bool) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    key = kms.Key(stack, "Key")
    fanout = SnsFanout(stack, "Fanout", topic=NewTopic(encryption_key=key))
    lake = KinesisToFirehoseToS3(stack, "Lake", stream=NewStream(encryption_key=key))
    called = AsyncLambda(stack, "Async", function=function(stack))
    saga = make(stack)
    for construct_id, grant in {
        "Caller": called.grant_invoke,
        "Publisher": fanout.grant_publish,
        "Writer": lake.grant_write,
        "Reader": lake.grant_read,
        "Redriver": called.grant_redrive,
        "Starter": saga.grant_start_execution,
        "Describer": saga.grant_describe_execution,
        "Resolver": saga.grant_resolve,
        "Executor": saga.grant_execute,
    }.items():
        if arn == OTHER and construct_id in ("Starter", "Describer", "Resolver", "Executor"):
            continue  # rejected: see check_grantee
        grant(iam.Role.from_role_arn(stack, construct_id, arn, mutable=mutable))
        found = Annotations.from_stack(stack).find_warning(
            f"/Stack/{construct_id}", Match.string_like_regexp("its own policies must allow")
        )
        assert bool(found) is fixed
