"""The models of what delivers events do what the embedded AWSs do, where those execute the same."""

from __future__ import annotations

import ast
import base64
import json
import random
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from serverless_patterns.sandbox import queues
from tests.delivery.shards import delivered
from tests.delivery.sources import Asynchronous, FifoQueue, Queue, Sent, Stream
from tests.delivery.trouble import Trouble
from tests.sandbox.helpers import arn, create_stack, function, ref, resource, template
from tests.sandbox.test_localstack import pytestmark as needs_the_second

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

# Reports the messages that hold the word, or fails as a whole if one holds the other.
CODE = """
def handler(event, context):
    if "Records" not in event:
        raise ValueError("no retry helps")
    bodies = {record["messageId"]: record["body"] for record in event["Records"]}
    print("got", list(bodies.values()))
    if any("deadly" in body for body in bodies.values()):
        raise ValueError("no retry helps")
    failed = [id_ for id_, body in bodies.items() if "poison" in body]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
"""
OF_A_STREAM = """
import base64
def handler(event, context):
    records = [record["kinesis"] for record in event["Records"]]
    bodies = {it["sequenceNumber"]: base64.b64decode(it["data"]).decode() for it in records}
    print("got", list(bodies.values()))
    if "deadly" in bodies.values():
        raise ValueError("no retry helps")
    failed = [id_ for id_, body in bodies.items() if body == "poison"]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
"""
RECEIVES = 2
RETRIES = 2
STANDARD = [f"event {number}" for number in range(9)] + ["poison"]
GROUPS = [("deadly", "one"), ("1", "one"), ("2", "one"), ("3", "two")]


def stack_of(target: Target) -> Deployment:
    redrive = {"maxReceiveCount": RECEIVES}
    made: dict[str, Any] = {"Function": function(CODE, Timeout=3)}
    for name, fifo in (("Queue", {}), ("Fifo", {"FifoQueue": True})):
        policy = redrive | {"deadLetterTargetArn": arn(f"{name}Dead")}
        made[f"{name}Dead"] = resource("SQS::Queue", **fifo)
        made[name] = resource("SQS::Queue", VisibilityTimeout=3, RedrivePolicy=policy, **fifo)
        made[f"{name}Mapping"] = resource(
            "Lambda::EventSourceMapping",
            FunctionName=ref("Function"),
            EventSourceArn=arn(name),
            BatchSize=1 if fifo else 10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    names = [name for name in made if not name.endswith("Mapping")]
    stack = create_stack(target, "delivery-models", template(made, **{n: ref(n) for n in names}))
    nothing = json.dumps({"Records": []})  # its first start may take longer than messages hide
    stack.client("lambda").invoke(FunctionName=stack["Function"], Payload=nothing)
    return stack


@pytest.fixture(scope="module", params=["shared", pytest.param("second", marks=needs_the_second)])
def stack(request: pytest.FixtureRequest) -> Deployment:
    return stack_of(request.getfixturevalue(request.param))


def run(stack: Deployment, queue: str, events: list[Any]) -> list[tuple[str, int]]:
    """Send events; return those that were dead-lettered, each with its receives."""
    for number, event in enumerate(events):
        body, group = event if isinstance(event, tuple) else (event, None)
        ids = {"MessageGroupId": group, "MessageDeduplicationId": str(number)} if group else {}
        stack.client("sqs").send_message(QueueUrl=stack[queue], MessageBody=body, **ids)
    queues.wait_until_empty(stack, stack[queue], seconds=90)
    letters = queues.take(stack, stack[f"{queue}Dead"])
    return [(m["Body"], int(m["Attributes"]["ApproximateReceiveCount"]) - 1) for m in letters]


def got(stack: Deployment, body: str) -> int:
    """How often the function was given an event."""
    lines = stack.log_lines(stack["Function"], limit=500)
    return sum("got" in line and repr(body) in line for line in lines)


def model(kind: Any, events: list[Any], **settings: Any) -> tuple[Any, list[str]]:
    """Play the same events on the model; return it, and all bodies that the function was given."""
    seen: list[str] = []
    place: dict[str, Any] = {}
    exec(CODE, place)  # noqa: S102 - the very function that the engine runs

    def invoke(event: Any, _: str) -> Any:
        seen.extend(record["body"] for record in event["Records"])
        return place["handler"](event, None)

    source = kind(Trouble(random.Random(1), left=0), invoke, max_receives=RECEIVES, **settings)  # noqa: S311
    for event in events:
        source.send(Sent(*event) if isinstance(event, tuple) else Sent(event))
    while not source.idle:
        source.step()
    return source, seen


def test_one_poison_of_ten_is_dead_lettered_alone(stack: Deployment) -> None:
    source, seen = model(Queue, STANDARD)
    assert run(stack, "Queue", STANDARD) == [(sent.event, sent.receives) for sent in source.dead]
    assert seen.count("poison") == RECEIVES
    # The log may come after the queue's count.
    queues.until(lambda: got(stack, "poison") == RECEIVES, seconds=60, what="for the log")
    assert [got(stack, body) for body in STANDARD[:-1]] == [1] * 9


def test_a_group_waits_for_its_failure_and_the_other_one_does_not(stack: Deployment) -> None:
    source, seen = model(FifoQueue, GROUPS, batch=1)
    assert run(stack, "Fifo", GROUPS) == [(sent.event, sent.receives) for sent in source.dead]
    for body, _ in GROUPS:
        assert got(stack, body) == seen.count(body), body
    lines = "".join(stack.log_lines(stack["Function"], limit=500))
    assert lines.rindex("'deadly'") < lines.index("['1']") < lines.index("['2']")


def test_an_event_that_fails_is_run_three_times(stack: Deployment) -> None:
    name, lambda_ = stack["Function"], stack.client("lambda")
    dead = {"QueueUrl": stack["QueueDead"], "AttributeNames": ["QueueArn"]}
    where = stack.client("sqs").get_queue_attributes(**dead)["Attributes"]["QueueArn"]
    lambda_.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": where}}
    )

    def fails(*_: Any) -> Any:
        raise ValueError

    source = Asynchronous(Trouble(random.Random(1), left=0), fails)  # noqa: S311
    source.send(Sent({"event": 1}))
    while not source.idle:
        source.step()
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"event": 1}))
    url = stack["QueueDead"]
    queues.until(lambda: queues.backlog(stack, url) > 0, seconds=60, what="for the record")
    (letter,) = queues.take(stack, url)
    found, (expected,) = json.loads(letter["Body"]), source.records
    assert found["requestPayload"] == expected["requestPayload"]
    for key in ("condition", "approximateInvokeCount"):
        assert found["requestContext"][key] == expected["requestContext"][key]


def batches(stack: Deployment) -> list[list[str]]:
    """What a function was given, call by call."""
    lines = stack.log_lines(stack["Function"], limit=500)
    return [ast.literal_eval(line.removeprefix("got ")) for line in lines if line[:4] == "got "]


@needs_the_second
@pytest.mark.parametrize(
    ("size", "bodies"),
    [(1, ["a", "deadly", "b"]), (4, ["a", "b", "poison", "c"]), (3, ["a", "deadly", "b"])],
    ids=["a record that fails alone", "a part of a batch", "a batch as a whole"],
)
def test_a_shard_goes_on_from_what_failed_and_gives_up_after_its_retries(
    second: Target, size: int, bodies: list[str]
) -> None:
    made = {
        "Stream": resource("Kinesis::Stream", ShardCount=1),
        "Failed": resource("SQS::Queue"),
        "Function": function(OF_A_STREAM, Timeout=3),
        "Mapping": resource(
            "Lambda::EventSourceMapping",
            FunctionName=ref("Function"),
            EventSourceArn=arn("Stream"),
            StartingPosition="TRIM_HORIZON",
            BatchSize=size,
            MaximumRetryAttempts=RETRIES,
            DestinationConfig={"OnFailure": {"Destination": arn("Failed")}},
            FunctionResponseTypes=["ReportBatchItemFailures"],
        ),
    }
    names = {name: ref(name) for name in ("Stream", "Failed", "Function")}
    stack = create_stack(second, f"shard-of-{size}", template(made, **names))
    records = [{"Data": body.encode(), "PartitionKey": "one"} for body in bodies]
    stack.client("kinesis").put_records(StreamName=stack["Stream"], Records=records)

    place: dict[str, Any] = {}
    exec(OF_A_STREAM, place)  # noqa: S102 - the very function that the engine runs
    expected: list[list[str]] = []

    def invoke(event: Any, _: str) -> Any:
        coded = (record["kinesis"]["data"] for record in event["Records"])
        expected.append([base64.b64decode(data).decode() for data in coded])
        return place["handler"](event, None)

    full = Mock(wraps=random.Random(1), randint=lambda _, most: most)  # noqa: S311 - full batches
    trouble = Trouble(full, left=0)
    settings: dict[str, Any] = {"bisects": False, "retries": RETRIES, "batch": size}
    model = Stream(trouble, invoke, make=delivered, **settings)
    for body in bodies:
        model.send(Sent(body.encode()))
    while not model.idle:
        model.step()
    failed = stack["Failed"]
    queues.until(lambda: queues.backlog(stack, failed) > 0, seconds=60, what="until it is given up")
    # The log may come after the record.
    queues.until(lambda: len(batches(stack)) >= len(expected), seconds=60, what="for the log")
    assert batches(stack) == expected
    [record] = [json.loads(one["Body"]) for one in queues.take(stack, failed)]
    assert record["KinesisBatchInfo"]["batchSize"] == len(model.dead)
