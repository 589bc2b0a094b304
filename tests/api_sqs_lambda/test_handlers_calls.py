"""What a thousand orders cost, in AWS calls and write units, next to two other ways.

The other ways cost the same for every order, so a hundred orders tell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from serverless_patterns.lambdas.api_sqs_lambda import logic, store
from serverless_patterns.lambdas.api_sqs_lambda.messages import Message
from tests.moto_cloud import TABLE, Context

from .orders import order, record

if TYPE_CHECKING:
    from .conftest import Cloud

ORDERS = 1_000
BATCH = 50
RECORDS = [record(order(number)) for number in range(ORDERS)]


def empty(cloud: Cloud) -> int:
    """Empty the table; return how many items it had.

    moto copies the whole table for every action of a transaction: a full one makes it slow.
    """
    items = cloud.items()
    for item in items:
        cloud.dynamodb.delete_item(
            TableName=TABLE, Key={name: {"S": item[name]} for name in ("pk", "sk")}
        )
    return len(items)


def test_a_thousand_orders_cost_twenty_calls(cloud: Cloud) -> None:
    stored = 0
    for start in range(0, ORDERS, BATCH):
        assert cloud.orders(*RECORDS[start : start + BATCH]) == []
        stored += empty(cloud)
    assert stored == ORDERS
    assert cloud.calls == {"TransactWriteItems": 20}


def test_one_record_at_a_time_costs_a_call_an_order(cloud: Cloud) -> None:
    single = store.client(tries=1)
    for row in _rows()[:100]:
        single.put_item(**row)
    assert cloud.calls == {"PutItem": 100}


def test_powertools_idempotency_costs_three_calls_an_order(cloud: Cloud) -> None:
    cloud.dynamodb.create_table(
        TableName="idempotency",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    client = boto3.client("dynamodb")
    cloud.watch(client)
    layer = DynamoDBPersistenceLayer(table_name="idempotency", boto3_client=client)
    config = IdempotencyConfig(event_key_jmespath="pk", expires_after_seconds=14 * 24 * 3600)

    def store_one(item: dict[str, Any], row: dict[str, Any]) -> None:
        assert item["pk"] == row["Item"]["pk"]["S"]
        client.put_item(**row)

    idempotent = idempotent_function(
        store_one, data_keyword_argument="item", persistence_store=layer, config=config
    )
    config.register_lambda_context(Context())  # type: ignore[arg-type]
    for row in _rows()[:100]:
        idempotent(item={"pk": row["Item"]["pk"]["S"]}, row=row)
    assert cloud.calls == {"PutItem": 200, "UpdateItem": 100}


def test_an_order_of_two_lines_is_written_as_one_unit(cloud: Cloud) -> None:
    """A write unit is 1 KB (Amazon DynamoDB developer guide, "on-demand capacity mode")."""
    assert {math.ceil(_bytes(row["Item"]) / 1024) for row in _rows()} == {1}


def _rows() -> list[dict[str, Any]]:
    pairs = [(logic.parse_order(r["body"]), Message.of(r)) for r in RECORDS]
    return [store._order_row(order, message, 0).put for order, message in pairs]


def _bytes(item: dict[str, Any]) -> int:
    """Return an item's size (developer guide, "DynamoDB item sizes and formats"), rounded up."""

    def size(value: dict[str, Any]) -> int:
        [(kind, content)] = value.items()
        if kind == "S":
            return len(content.encode())
        if kind == "N":
            return 21
        if kind == "L":
            return 3 + sum(1 + size(v) for v in content)
        return 3 + sum(1 + len(k) + size(v) for k, v in content.items())

    return sum(len(name) + size(value) for name, value in item.items())
