"""What is unavailable comes back, however the block ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import Deployment, outages, queues
from tests.sandbox.helpers import create_stack, function

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from serverless_patterns.sandbox import Target

BEFORE = {"TABLE_NAME": "table", "OTHER": "other"}
STACK = {
    "Resources": {
        "DeadLetters": {"Type": "AWS::SQS::Queue"},
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "VisibilityTimeout": 60,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
                    "maxReceiveCount": 5,
                },
            },
        },
        "Function": function(Environment={"Variables": BEFORE}),
    },
    "Outputs": {
        "FunctionName": {"Value": {"Ref": "Function"}},
        "QueueUrl": {"Value": {"Ref": "Queue"}},
        "DeadLetterQueueUrl": {"Value": {"Ref": "DeadLetters"}},
    },
}
# An exception, and what Ctrl-C raises.
ENDS = pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])


@pytest.fixture(scope="module")
def stack(shared: Target) -> Deployment:
    return Deployment(shared, "outages", create_stack(shared, "outages", STACK))


def runs_with(stack: Deployment) -> dict[str, str]:
    """The environment that the function itself sees."""
    answer = stack.client("lambda").invoke(FunctionName=stack["FunctionName"], Payload="{}")
    seen: dict[str, str] = json.load(answer["Payload"])
    return {name: seen[name] for name in ("TABLE_NAME", "OTHER")}


def configured(stack: Deployment) -> dict[str, str]:
    """The environment that the function's next call sees."""
    configuration = stack.client("lambda").get_function_configuration(
        FunctionName=stack["FunctionName"]
    )
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    return variables


def attributes(stack: Deployment) -> dict[str, Any]:
    found = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack["QueueUrl"], AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
    )["Attributes"]
    policy = json.loads(found["RedrivePolicy"])
    return {"hidden": int(found["VisibilityTimeout"]), "attempts": int(policy["maxReceiveCount"])}


def interrupt(block: AbstractContextManager[None], error: type[BaseException]) -> None:
    with pytest.raises(error), block:
        raise error


def test_a_table_is_unavailable_for_the_block_only(stack: Deployment) -> None:
    with outages.table_unavailable(stack, stack["FunctionName"]):
        assert runs_with(stack) == BEFORE | {"TABLE_NAME": "table-unavailable"}
    assert runs_with(stack) == BEFORE


@ENDS
def test_a_table_is_back_after_a_block_that_fails(
    stack: Deployment, error: type[BaseException]
) -> None:
    interrupt(outages.table_unavailable(stack, stack["FunctionName"], "OTHER"), error)
    assert configured(stack) == BEFORE


def test_a_change_that_is_interrupted_is_undone_too(
    stack: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure, calls = outages.configure, []

    def interrupted(*args: Any, **settings: Any) -> None:
        configure(*args, **settings)
        calls.append(settings)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(outages, "configure", interrupted)
    with pytest.raises(KeyboardInterrupt), outages.table_unavailable(stack, stack["FunctionName"]):
        pytest.fail("the change was interrupted")
    assert len(calls) == 2
    assert configured(stack) == BEFORE


@ENDS
def test_retries_are_quick_for_the_block_only(
    stack: Deployment, error: type[BaseException]
) -> None:
    before = {"hidden": 60, "attempts": 5}
    url = stack["QueueUrl"]
    with outages.quick_retries(stack, url, seconds=7):
        assert attributes(stack) == {"hidden": 7, "attempts": 5}
    with outages.quick_retries(stack, url):
        assert attributes(stack) == {"hidden": 1, "attempts": 5}
        with outages.quick_retries(stack, url, attempts=2):
            assert attributes(stack) == {"hidden": 1, "attempts": 2}
        assert attributes(stack) == {"hidden": 1, "attempts": 5}
    assert attributes(stack) == before
    interrupt(outages.quick_retries(stack, url, attempts=2), error)
    assert attributes(stack) == before


def test_messages_are_taken_from_every_queue_once_and_are_gone_then(stack: Deployment) -> None:
    urls = (stack["QueueUrl"], stack["DeadLetterQueueUrl"])
    for number in range(25):
        stack.client("sqs").send_message(
            QueueUrl=urls[number % 2],
            MessageBody=str(number),
            MessageAttributes={"Reason": {"DataType": "String", "StringValue": f"why {number}"}},
        )
    found = {message["Body"]: queues.reason(message) for message in queues.take(stack, *urls)}
    assert found == {str(number): f"why {number}" for number in range(25)}
    assert [queues.backlog(stack, url) for url in urls] == [0, 0]
