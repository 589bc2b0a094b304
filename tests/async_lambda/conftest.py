"""The handler's table and dead-letter queue on moto, and what the handler did with them."""

from __future__ import annotations

import copy
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from lambdas.async_lambda import dead_letters, invoices, store

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"
TABLE = "table"
VAT_RATES = {"DE": "0.19", "JP": "0.10", "SE": "0.25"}


def request(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid request for an invoice."""
    lines = [
        {"sku": "BRK-PAD-F", "name": "Bremsbelag vorn", "quantity": 2, "unit_price": "24.95"},
        {"sku": "WPR-24", "name": "Wischerblatt 24″ 🚗", "quantity": 1, "unit_price": "9.99"},
    ]
    return {
        "order_id": f"order-{number}",
        "customer_id": "customer-1",
        "country": "DE",
        "currency": "EUR",
        "lines": copy.deepcopy(lines),
        "total": "59.89",
        "requested_at": 1_795_000_000_000,
    } | changes


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that Powertools and the handler read."""

    aws_request_id: str = "request-1"
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


@dataclass
class Cloud:
    """A table, a dead-letter queue, and every call that the handler makes."""

    dynamodb: Any = field(repr=False)
    sqs: Any = field(repr=False)
    queue_url: str
    log: io.StringIO
    calls: Counter[str] = field(default_factory=Counter)

    def run(self, event: Any, request_id: str = "request-1") -> dict[str, str]:
        """Run the handler once."""
        return invoices.handler(event, Context(request_id))  # type: ignore[arg-type]

    def items(self) -> list[dict[str, Any]]:
        """Return every invoice, without DynamoDB's types at the top."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        found: list[dict[str, Any]] = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def watch(self, client: Any) -> None:
        """Count the calls of a client."""

        def before(model: Any, **_: Any) -> None:
            self.calls[model.name] += 1

        client.meta.events.register("before-call", before)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def cloud(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    log = io.StringIO()
    monkeypatch.setattr(invoices.logger.registered_handler, "stream", log)
    for function in (store.client, dead_letters.client):
        function.cache_clear()
    dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    queue_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    monkeypatch.setenv("TABLE_NAME", TABLE)
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", queue_url)
    monkeypatch.setenv("VAT_RATES", json.dumps(VAT_RATES))
    cloud = Cloud(dynamodb=dynamodb, sqs=sqs, queue_url=queue_url, log=log)
    for client in (store.client(), dead_letters.client()):
        cloud.watch(client)
    yield cloud
    for function in (store.client, dead_letters.client):
        function.cache_clear()
