"""Tables and queues of the handlers on moto, and a Step Functions that remembers its calls."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.step_functions_saga import executions, messages, store
from tests.moto_cloud import account, make_table

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNTS, SHIPMENTS = "accounts", "shipments"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"


class FakeStepFunctions:
    """Step Functions as far as the handlers use it: moto does not know task tokens.

    Attributes:
        calls: How often each operation was called.
        inputs: Input of each execution by name.
        outputs: Output sent for each task token.
        heartbeats: Task tokens that gave a sign of life.
        gone: Task tokens that nobody waits for.
        error: Code of the error that every call is answered with. Default: none.
    """

    class exceptions:  # noqa: N801 - as boto3 names it
        class ExecutionAlreadyExists(ClientError): ...  # noqa: N818

        class TaskTimedOut(ClientError): ...  # noqa: N818

        class TaskDoesNotExist(ClientError): ...  # noqa: N818

        class InvalidToken(ClientError): ...  # noqa: N818

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.inputs: dict[str, str] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.heartbeats: list[str] = []
        self.gone: set[str] = set()
        self.error = ""

    def _called(self, operation: str) -> None:
        self.calls[operation] += 1
        if self.error:
            raise ClientError({"Error": {"Code": self.error}}, operation)

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: A002, N803
        assert stateMachineArn == MACHINE
        self._called("StartExecution")
        if name in self.inputs:
            raise self.exceptions.ExecutionAlreadyExists({}, "StartExecution")
        self.inputs[name] = input

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803
        self._called("DescribeExecution")
        machine, name = executionArn.rsplit(":", 1)
        assert machine == MACHINE.replace(":stateMachine:", ":execution:")
        return {"input": self.inputs[name]}

    def send_task_success(self, *, taskToken: str, output: str) -> None:  # noqa: N803
        self._called("SendTaskSuccess")
        if taskToken in self.gone:
            raise self.exceptions.TaskTimedOut({}, "SendTaskSuccess")
        self.outputs[taskToken] = json.loads(output)

    def send_task_heartbeat(self, *, taskToken: str) -> None:  # noqa: N803
        self._called("SendTaskHeartbeat")
        if taskToken in self.gone:
            raise self.exceptions.TaskTimedOut({}, "SendTaskHeartbeat")
        self.heartbeats.append(taskToken)


@dataclass
class Aws:
    """What the handlers call.

    Attributes:
        calls: How often each operation of DynamoDB and SQS was called.
    """

    dynamodb: Any
    sqs: Any
    step_functions: FakeStepFunctions
    queue_url: str
    dead_letter_queue_url: str
    calls: Counter[str] = field(default_factory=Counter)

    def put(self, table: str, **values: Any) -> None:
        kinds = {str: "S", int: "N"}
        item = {name: {kinds[type(value)]: str(value)} for name, value in values.items()}
        self.dynamodb.put_item(TableName=table, Item=item)

    def row(self, table: str, key: str) -> dict[str, Any] | None:
        item = self.dynamodb.get_item(TableName=table, Key={"id": {"S": key}}).get("Item")
        return {name: next(iter(value.values())) for name, value in item.items()} if item else None

    def balance(self, customer: str) -> int:
        row = self.row(ACCOUNTS, f"CUSTOMER#{customer}")
        assert row
        return int(row["balance"])

    def dead_letters(self) -> list[tuple[str, str]]:
        found = []
        while answer := self.sqs.receive_message(
            QueueUrl=self.dead_letter_queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
        ).get("Messages"):
            found += [
                (each["Body"], each["MessageAttributes"]["Reason"]["StringValue"])
                for each in answer
            ]
        return found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    names = {"ACCOUNTS_TABLE": ACCOUNTS, "SHIPMENTS_TABLE": SHIPMENTS, "STATE_MACHINE_ARN": MACHINE}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with account(monkeypatch, store.client, messages.client, region="us-east-1"):
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        for table in (ACCOUNTS, SHIPMENTS):
            make_table(dynamodb, table, "id")
        queue, dead_letters = (
            sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("queue", "dead-letters")
        )
        monkeypatch.setenv("QUEUE_URL", queue)
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", dead_letters)
        fake = FakeStepFunctions()
        monkeypatch.setattr(executions, "client", lambda: fake)
        aws = Aws(dynamodb, sqs, fake, queue, dead_letters)
        for client in (store.client(), messages.client()):
            client.meta.events.register(
                "before-call.*", lambda model, **_: aws.calls.update([model.name])
            )
        yield aws


def records(*bodies: Any, receive_count: int = 1) -> dict[str, Any]:
    """Return the event with these bodies; what is no text becomes JSON."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"receipt-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": str(receive_count)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
            }
            for number, body in enumerate(bodies)
        ]
    }


def failed(answer: Any) -> list[str]:
    """Return the ids of the records that the handler reported as failed."""
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
