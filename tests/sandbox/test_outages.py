"""Whatever is taken away comes back, however the block ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import Deployment, outages, queues
from tests.sandbox.helpers import FUNCTION, create_stack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from serverless_patterns.sandbox import Target

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
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                **FUNCTION["Properties"],  # type: ignore[dict-item]
                "Environment": {"Variables": {"TABLE_NAME": "table", "OTHER": "other"}},
            },
        },
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


def attributes(stack: Deployment) -> dict[str, Any]:
    found = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack["QueueUrl"], AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
    )["Attributes"]
    policy = json.loads(found["RedrivePolicy"])
    return {"hidden": int(found["VisibilityTimeout"]), "tries": int(policy["maxReceiveCount"])}


def interrupt(block: AbstractContextManager[None], error: type[BaseException]) -> None:
    with pytest.raises(error), block:
        raise error


@ENDS
def test_a_table_is_away_for_the_block_only(stack: Deployment, error: type[BaseException]) -> None:
    before = {"TABLE_NAME": "table", "OTHER": "other"}
    assert runs_with(stack) == before
    with outages.table_away(stack, stack["FunctionName"]):
        assert runs_with(stack) == before | {"TABLE_NAME": "table-away"}
    assert runs_with(stack) == before
    interrupt(outages.table_away(stack, stack["FunctionName"], "OTHER"), error)
    assert runs_with(stack) == before


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
    with pytest.raises(KeyboardInterrupt), outages.table_away(stack, stack["FunctionName"]):
        pytest.fail("the change was interrupted")
    assert runs_with(stack)["TABLE_NAME"] == "table"


@ENDS
def test_retries_are_quick_for_the_block_only(
    stack: Deployment, error: type[BaseException]
) -> None:
    before = {"hidden": 60, "tries": 5}
    url = stack["QueueUrl"]
    with outages.quick_retries(stack, url):
        assert attributes(stack) == {"hidden": 1, "tries": 5}
        with outages.quick_retries(stack, url, tries=2):
            assert attributes(stack) == {"hidden": 1, "tries": 2}
        assert attributes(stack) == {"hidden": 1, "tries": 5}
    assert attributes(stack) == before
    interrupt(outages.quick_retries(stack, url, tries=2), error)
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
