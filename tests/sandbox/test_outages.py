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


@ENDS
def test_settings_of_a_function_are_restored(stack: Deployment, error: type[BaseException]) -> None:
    before = {"TABLE_NAME": "table", "OTHER": "other"}
    name, lambda_ = stack["FunctionName"], stack.client("lambda")

    def timeout() -> int:
        return int(lambda_.get_function_configuration(FunctionName=name)["Timeout"])

    first = timeout()
    with outages.settings_of(stack, name) as (variables, use):
        assert variables == before
        use(timeout=first + 1, TABLE_NAME="gone")
        assert (timeout(), runs_with(stack)) == (first + 1, before | {"TABLE_NAME": "gone"})
        use(OTHER="new")
        assert (timeout(), runs_with(stack)) == (first, before | {"OTHER": "new"})
    assert (timeout(), runs_with(stack)) == (first, before)

    def interrupted() -> None:
        with outages.settings_of(stack, name) as (_, use):
            use(TABLE_NAME="gone")
            raise error

    with pytest.raises(error):
        interrupted()
    assert runs_with(stack) == before


@ENDS
def test_a_function_is_switched_off_for_the_block_only(
    stack: Deployment, error: type[BaseException]
) -> None:
    def reserved() -> int | None:
        found = stack.client("lambda").get_function_concurrency(FunctionName=stack["FunctionName"])
        value: int | None = found.get("ReservedConcurrentExecutions")
        return value

    with outages.no_concurrency(stack, stack["FunctionName"]):
        assert reserved() == 0
    assert reserved() is None
    interrupt(outages.no_concurrency(stack, stack["FunctionName"]), error)
    assert reserved() is None


@ENDS
def test_a_failure_destination_is_gone_for_the_block_only(
    stack: Deployment, error: type[BaseException]
) -> None:
    lambda_ = stack.client("lambda")
    name = {"FunctionName": stack["FunctionName"], "Qualifier": "$LATEST"}
    arn = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack["DeadLetterQueueUrl"], AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    both = {"OnFailure": {"Destination": arn}, "OnSuccess": {"Destination": arn}}
    lambda_.put_function_event_invoke_config(
        **name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=60, DestinationConfig=both
    )

    def settings() -> tuple[int, int, set[str]]:
        found = lambda_.get_function_event_invoke_config(**name)
        destinations = {key for key, value in found["DestinationConfig"].items() if value}
        return found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"], destinations

    with outages.no_failure_destination(stack, stack["FunctionName"]):
        assert settings() == (1, 60, {"OnSuccess"})
    assert settings() == (1, 60, {"OnFailure", "OnSuccess"})
    interrupt(outages.no_failure_destination(stack, stack["FunctionName"]), error)
    assert settings() == (1, 60, {"OnFailure", "OnSuccess"})


def test_a_queue_is_read_again_after_the_block_and_then_empty(stack: Deployment) -> None:
    sqs, lambda_ = stack.client("sqs"), stack.client("lambda")
    url = sqs.create_queue(QueueName="read-again", Attributes={"VisibilityTimeout": "30"})[
        "QueueUrl"
    ]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    mapping = lambda_.create_event_source_mapping(
        EventSourceArn=arn, FunctionName=stack["FunctionName"]
    )["UUID"]
    with outages.mapping_disabled(stack, mapping, url):
        assert lambda_.get_event_source_mapping(UUID=mapping)["State"] == "Disabled"
        sqs.send_message(QueueUrl=url, MessageBody="kept")
        assert queues.backlog(stack, url) == 1
    assert lambda_.get_event_source_mapping(UUID=mapping)["State"] == "Enabled"
    assert queues.backlog(stack, url) == 0
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert found["Attributes"]["VisibilityTimeout"] == "30"
    lambda_.delete_event_source_mapping(UUID=mapping)


def test_messages_of_a_run_are_collected_and_others_stay(stack: Deployment) -> None:
    url = stack["DeadLetterQueueUrl"]
    for number in range(4):
        stack.client("sqs").send_message(
            QueueUrl=url, MessageBody=json.dumps({"order_id": f"o{number}"})
        )
    found = queues.collect(stack, url, "order_id", {"o1", "o3"})
    assert sorted(body["order_id"] for body in found) == ["o1", "o3"]
    assert queues.backlog(stack, url) == 2
    assert queues.collect(stack, url, "order_id", {"o9"}, seconds=0) == []
