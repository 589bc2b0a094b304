"""The handlers' table and queues on moto, and what the handlers did with them."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from moto import mock_aws

from lambdas.api_sqs_lambda import order_changes, orders, reporting, store
from lambdas.foundation import dead_letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "eu-central-1"
TABLE = "table"


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that Powertools reads."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"
    aws_request_id: str = "request"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


@dataclass
class Cloud:
    """A table and a dead-letter queue of each type, every call a handler makes, and faults."""

    dynamodb: Any = field(repr=False)
    sqs: Any = field(repr=False)
    queue_url: str
    fifo_queue_url: str
    monkeypatch: pytest.MonkeyPatch
    log: io.StringIO
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[dict[str, Any]] = field(default_factory=list, repr=False)
    faults: list[Callable[[str, str], None]] = field(default_factory=list)

    def orders(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of orders; return the ids of the records to deliver again."""
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", self.queue_url)
        return _failures(orders.handler, records)

    def changes(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of changes; return the ids of the records to deliver again."""
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", self.fifo_queue_url)
        return _failures(order_changes.handler, records)

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the table, without DynamoDB's types at the top."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]

    def letters(self) -> list[dict[str, Any]]:
        """Take every message out of both dead-letter queues."""
        found = []
        for url in (self.queue_url, self.fifo_queue_url):
            while messages := self.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            ).get("Messages"):
                found += messages
                for message in messages:
                    self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def reasons(self) -> Counter[str]:
        """Take every message out of the dead-letter queues; return their reasons."""
        return Counter(
            letter["MessageAttributes"]["Reason"]["StringValue"] for letter in self.letters()
        )

    def summaries(self) -> list[dict[str, Any]]:
        """Return the log's lines about a batch."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["message"] == "Batch"]

    def take_the_table_away(self) -> None:
        self.monkeypatch.setenv("TABLE_NAME", "away")

    def bring_the_table_back(self) -> None:
        self.monkeypatch.setenv("TABLE_NAME", TABLE)

    def watch(self, client: Any) -> None:
        """Count the calls of a handler's client, and let faults happen before and after them."""

        def before(model: Any, params: dict[str, Any], **_: Any) -> None:
            self.calls[model.name] += 1
            self.requests.append(json.loads(params["body"]))
            for fault in list(self.faults):
                fault(model.name, "before")

        def after(model: Any, **_: Any) -> None:
            for fault in list(self.faults):
                fault(model.name, "after")

        client.meta.events.register("before-call", before)
        client.meta.events.register("after-call", after)

    def fail(
        self, operation: str, error: Exception, *, when: str = "before", times: int = 1
    ) -> None:
        """Let the next calls of an operation fail, ``before`` or ``after`` AWS has done it."""
        left = [times]

        def fault(name: str, moment: str) -> None:
            if left[0] and (name, moment) == (operation, when):
                left[0] -= 1
                raise error

        self.faults.append(fault)


def _failures(handler: Any, records: tuple[dict[str, Any], ...]) -> list[str]:
    """Call a handler as Lambda does: an exception fails the whole batch."""
    try:
        answer = handler({"Records": list(records)}, Context())
    except BatchProcessingError as error:
        if len(error.child_exceptions) != len(records):
            raise
        return [record["messageId"] for record in records]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("TABLE_NAME", TABLE)
    log = io.StringIO()
    monkeypatch.setattr(reporting.logger.registered_handler, "stream", log)
    for function in (store.client, dead_letters.client):
        function.cache_clear()
    with mock_aws():
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        cloud = Cloud(
            dynamodb=dynamodb,
            sqs=sqs,
            queue_url=sqs.create_queue(QueueName="dead")["QueueUrl"],
            fifo_queue_url=sqs.create_queue(
                QueueName="dead.fifo", Attributes={"FifoQueue": "true"}
            )["QueueUrl"],
            monkeypatch=monkeypatch,
            log=log,
        )
        for client in (store.client(), store.client(tries=1), dead_letters.client()):
            cloud.watch(client)
        yield cloud
    for function in (store.client, dead_letters.client):
        function.cache_clear()
