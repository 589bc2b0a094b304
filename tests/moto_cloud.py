"""AWS on moto for the tests of handlers: what they call, what they did, and faults on the way."""

from __future__ import annotations

import io
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import boto3
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from moto import mock_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

REGION: Literal["eu-central-1"] = "eu-central-1"
TABLE = "table"


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that Powertools and the handlers read."""

    aws_request_id: str = "request"
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


@dataclass
class Cloud:
    """A table, a dead-letter queue of each type, every call a handler makes, and faults."""

    dynamodb: Any = field(repr=False)
    sqs: Any = field(repr=False)
    queue_url: str
    fifo_queue_url: str
    monkeypatch: pytest.MonkeyPatch
    log: io.StringIO
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[Callable[[str, str], None]] = field(default_factory=list)

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

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def watch(self, client: Any) -> None:
        """Count the calls of a handler's client, and let faults happen before and after them."""

        def before(model: Any, **_: Any) -> None:
            self.calls[model.name] += 1
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

    def run_batch(
        self, handler: Any, queue_url: str, records: tuple[dict[str, Any], ...]
    ) -> list[str]:
        """Call a handler as Lambda does; return the ids of the records to deliver again.

        An exception fails the whole batch; Powertools raises it only if every record failed.
        """
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", queue_url)
        try:
            answer = handler({"Records": list(records)}, Context())
        except BatchProcessingError as error:
            if len(error.child_exceptions) != len(records):
                raise
            return [record["messageId"] for record in records]
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch, *clients: Any, region: str = REGION) -> Iterator[None]:
    """An empty account on moto.

    Args:
        monkeypatch: Of the test.
        clients: The cached functions that make the handlers' clients; new ones are made in here.
        region: Default: eu-central-1.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    for client in clients:
        client.cache_clear()
    try:
        with mock_aws():
            yield
    finally:
        for client in clients:
            client.cache_clear()


def resources(monkeypatch: pytest.MonkeyPatch, logger: Any, *keys: str) -> dict[str, Any]:
    """Make what a ``Cloud`` holds: the table with these keys, and both queues.

    The logger writes into ``log``; ``TABLE_NAME`` names the table.
    """
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    monkeypatch.setenv("TABLE_NAME", TABLE)
    dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
    make_table(dynamodb, TABLE, *keys)
    fifo = sqs.create_queue(QueueName="dead.fifo", Attributes={"FifoQueue": "true"})
    return {
        "dynamodb": dynamodb,
        "sqs": sqs,
        "queue_url": sqs.create_queue(QueueName="dead")["QueueUrl"],
        "fifo_queue_url": fifo["QueueUrl"],
        "monkeypatch": monkeypatch,
        "log": log,
    }


def make_table(dynamodb: Any, name: str, *keys: str) -> None:
    """Make a table: its partition key, and its sort key if there is one."""
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}
            for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
    )
