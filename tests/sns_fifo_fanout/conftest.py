"""The handlers' table, bucket and queues on moto, and what the handlers did with them."""

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

from lambdas.foundation import dead_letters
from lambdas.sns_fifo_fanout import analytics, lake, price_list, prices, reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "eu-central-1"
TABLE = "table"
BUCKET = "price-changes-lake"


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that Powertools reads."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"
    aws_request_id: str = "request"


@dataclass
class Cloud:
    """Table, bucket, a dead-letter queue of each type, every call a handler makes, and faults."""

    dynamodb: Any = field(repr=False)
    s3: Any = field(repr=False)
    sqs: Any = field(repr=False)
    queue_url: str
    fifo_queue_url: str
    monkeypatch: pytest.MonkeyPatch
    log: io.StringIO
    calls: Counter[str] = field(default_factory=Counter)
    faults: list[Callable[[str, str], None]] = field(default_factory=list)

    def prices(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of a price list; return the ids of the records to deliver again."""
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", self.fifo_queue_url)
        return _failures(prices.handler, records)

    def analytics(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of analytics; return the ids of the records to deliver again."""
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", self.queue_url)
        return _failures(analytics.handler, records)

    def items(self) -> list[dict[str, Any]]:
        """Return every item of the table, without DynamoDB's types at the top."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]

    def price(self, part: str) -> str | None:
        """Return the price of a part that counts."""
        found = [i for i in self.items() if i["part_id"] == part and i["sk"] == "PRICE"]
        return found[0]["price"] if found else None

    def history(self, part: str) -> dict[int, bool]:
        """Return the recorded versions of a part, and whether each came too late."""
        return {
            int(item["version"]): item["superseded"]
            for item in self.items()
            if item["part_id"] == part and item["sk"] != "PRICE"
        }

    def files(self) -> dict[str, list[dict[str, Any]]]:
        """Return the lines of every file of the lake."""
        keys = [e["Key"] for e in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
        return {
            key: [
                json.loads(line)
                for line in self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
            ]
            for key in keys
        }

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

    def reasons(self) -> list[str]:
        """Take every message out of the dead-letter queues; return their reasons."""
        return [letter["MessageAttributes"]["Reason"]["StringValue"] for letter in self.letters()]

    def log_lines(self) -> list[dict[str, Any]]:
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


def _failures(handler: Any, records: tuple[dict[str, Any], ...]) -> list[str]:
    """Call a handler as Lambda does: an exception fails the whole batch."""
    try:
        answer = handler({"Records": list(records)}, Context())
    except BatchProcessingError:
        return [record["messageId"] for record in records]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("BUCKET_NAME", BUCKET)
    log = io.StringIO()
    monkeypatch.setattr(reporting.logger.registered_handler, "stream", log)
    clients = (price_list.client, lake.client, dead_letters.client)
    for client in clients:
        client.cache_clear()
    with mock_aws():
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        s3: Any = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
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
            s3=s3,
            sqs=sqs,
            queue_url=sqs.create_queue(QueueName="dead")["QueueUrl"],
            fifo_queue_url=sqs.create_queue(
                QueueName="dead.fifo", Attributes={"FifoQueue": "true"}
            )["QueueUrl"],
            monkeypatch=monkeypatch,
            log=log,
        )
        for client in clients:
            cloud.watch(client())
        yield cloud
    for client in clients:
        client.cache_clear()
