"""The embedded AWS ends in mid-traffic and starts again with its state: no event is lost.

MiniStack writes its state when it is told to end (``PERSIST_STATE``), one service after the other,
while a function is in the middle of a batch. Killed, it has written nothing; LocalStack's core
keeps no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import embedded, emulator, queues
from tests.sandbox.helpers import (
    allow,
    arn,
    create_stack,
    function,
    ref,
    resource,
    role,
    template,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EVENTS = 40
STORE = """
import os, time, boto3
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        time.sleep(0.4)
        row = {"id": {"S": record["body"]}, "time": {"S": str(time.time())}}
        table.put_item(TableName=os.environ["TABLE"], Item=row)
"""


def stack() -> dict[str, Any]:
    redrive = {"deadLetterTargetArn": arn("Dead"), "maxReceiveCount": 50}
    made: dict[str, Any] = {"Dead": resource("SQS::Queue")}
    made["Queue"] = resource("SQS::Queue", VisibilityTimeout=6, RedrivePolicy=redrive)
    made["Table"] = resource(
        "DynamoDB::Table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made["Role"] = role("lambda.amazonaws.com", allow("sqs:*", "*"), allow("dynamodb:*", "*"))
    environment = {"Variables": {"TABLE": ref("Table")}}
    made["Function"] = function(STORE, Role=arn("Role"), Timeout=6, Environment=environment)
    made["Mapping"] = resource(
        "Lambda::EventSourceMapping",
        FunctionName=ref("Function"),
        EventSourceArn=arn("Queue"),
        BatchSize=10,
    )
    return template(made, **{name: ref(name) for name in ("Queue", "Dead", "Table")})


def test_events_that_wait_when_the_engine_ends_are_processed_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = emulator.free_port()  # of both, because a queue's URL has it
    monkeypatch.setattr(emulator, "free_port", lambda: port)
    kept = {"PERSIST_STATE": "1", "STATE_DIR": str(tmp_path / "state")}
    wanted = {f"event {number}" for number in range(EVENTS)}

    def stored(deployment: Any) -> set[str]:
        found = deployment.client("dynamodb").scan(TableName=deployment["Table"])["Items"]
        return {row["id"]["S"] for row in found}

    with embedded(log_dir=tmp_path, environment=kept) as target:
        before = create_stack(target, "restart", stack())
        for body in sorted(wanted):
            before.client("sqs").send_message(QueueUrl=before["Queue"], MessageBody=body)
        queues.until(lambda: len(stored(before)) > 1, seconds=60, what="for the first events")
        done = stored(before)
    with embedded(log_dir=tmp_path, environment=kept) as target:
        after = target.deployed("restart")
        assert done <= stored(after) < wanted
        queues.until(lambda: stored(after) == wanted, seconds=60, what="for the others")
        queues.wait_until_empty(after, after["Queue"])
        assert queues.backlog(after, after["Dead"]) == 0
