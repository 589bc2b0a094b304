"""Twins of a state machine, each with a fault: how a scenario lets a step fail.

Nothing of the stack is changed. A step fails in one of two ways: its resource does not exist, or
it takes effect and its answer is lost.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .target import Deployment

UNAVAILABLE, ANSWER_LOST = "unavailable", "answer lost"
FAULTS = (UNAVAILABLE, ANSWER_LOST)


@contextmanager
def twins(
    stack: Deployment, prefix: str, state_machine: str, answered_by: str
) -> Iterator[Callable[..., str]]:
    """Yield a function that makes a twin and returns its ARN; they are deleted at the end.

    It takes the ARN of a state machine in JSONata and faults: pairs of a step's name and one of
    ``FAULTS``. Twins retry once, after a second, and wait six seconds for a callback.

    Args:
        stack: Where the state machines are.
        prefix: What the twins' names begin with, of this run alone.
        state_machine: ARN of the one whose task tokens are answered.
        answered_by: The function that answers them; until the end its role allows the twins' too.
    """
    sfn = stack.client("stepfunctions")
    made: list[str] = []

    def twin(arn: str, *faults: tuple[str, str]) -> str:
        original = sfn.describe_state_machine(stateMachineArn=arn)
        definition = json.loads(original["definition"])
        for name, state in _states(definition):
            _hurry(state)
            for step, fault in faults:
                if name == step:
                    _break(state, fault)
        kept = {key: original[key] for key in ("roleArn", "type")} | {
            "name": f"{prefix}-{len(made):02}"
        }
        answer = sfn.create_state_machine(**kept, definition=json.dumps(definition))
        made.append(answer["stateMachineArn"])
        return made[-1]

    try:
        with _answers(stack, answered_by, state_machine, prefix):
            yield twin
    finally:
        for arn in made:
            sfn.delete_state_machine(stateMachineArn=arn)


@contextmanager
def _answers(stack: Deployment, function: str, state_machine: str, prefix: str) -> Iterator[None]:
    iam, lambda_ = stack.client("iam"), stack.client("lambda")
    role = lambda_.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[1]
    statement = {
        "Effect": "Allow",
        "Action": ["states:SendTaskSuccess", "states:SendTaskFailure"],
        "Resource": f"{state_machine.rsplit(':', 1)[0]}:{prefix}-*",
    }
    policy = {"RoleName": role, "PolicyName": f"{prefix}-twins"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**policy, PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(**policy)


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def _hurry(state: dict[str, Any]) -> None:
    """Shorten waits and retries, so that failures fit a scenario."""
    for retry in state.get("Retry", []):
        if retry["MaxAttempts"]:
            retry.update(MaxAttempts=1, IntervalSeconds=1, BackoffRate=1)
    if "HeartbeatSeconds" in state:
        state.update(TimeoutSeconds=6, HeartbeatSeconds=5)


def _break(state: dict[str, Any], fault: str) -> None:
    if fault == ANSWER_LOST:
        state["Output"] = "{% $error('the answer is lost') %}"
        return
    arguments = state["Arguments"]
    writes = [write for item in arguments.get("TransactItems", []) for write in item.values()]
    for target in writes or [arguments]:
        for key in ("TableName", "QueueUrl", "FunctionName"):
            if key in target:
                target[key] += "-unavailable"
