"""The shims for state machines: the gap without each, and the right behavior with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import arn, create_stack, ref, resource, role, template

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

SUM = {"Type": "Pass", "Output": "{% $sum([1..10000].($ * 2)) %}", "End": True}
MANY_AT_ONCE = {
    "Type": "Map",
    "Items": [*range(24)],
    "ItemProcessor": {"StartAt": "Sum", "States": {"Sum": SUM}},
    "End": True,
}
MACHINE = {"QueryLanguage": "JSONata", "StartAt": "Sums", "States": {"Sums": MANY_AT_ONCE}}


STACK = template(
    {
        "Role": role("states.amazonaws.com"),
        "Machine": resource(
            "StepFunctions::StateMachine",
            RoleArn=arn("Role"),
            DefinitionString=json.dumps(MACHINE),
        ),
    },
    MachineArn=ref("Machine"),
)


def end(target: Target) -> str:
    """Run a machine with 24 expressions at once, a tenth of a second each; return its end."""
    stack, states = create_stack(target, "sums", STACK), target.client("stepfunctions")
    machine = stack["MachineArn"]
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]

    def found() -> str:
        answer = states.describe_execution(executionArn=execution)
        return " ".join(answer.get(name, "") for name in ("status", "error", "cause")).strip()

    queues.until(lambda: found() != "RUNNING", seconds=60, what="until all is added up")
    return found()


def test_an_expression_that_waits_for_others_does_not_run_out_of_time(
    without_shims: Target, shared: Target
) -> None:
    late = "FAILED States.QueryEvaluationError D1012"
    assert end(without_shims).startswith(late), "upstream counts its time only: remove the shim"
    assert end(shared) == "SUCCEEDED"
