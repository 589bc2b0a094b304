"""Who is granted what a construct has, and waits for nothing that waits for it."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk.assertions import Template

from tests.inline import function
from tests.step_functions_saga.builds import make


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
