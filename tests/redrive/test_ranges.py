"""A replay of a table's stream, on moto: what it fetches back, runs and deletes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from serverless_patterns.lambdas.dynamodb_streams_lambda import projection
from serverless_patterns.redrive import ranges
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import GONE, ToStreamFunction
from tests import moto_cloud
from tests.moto_cloud import REGION, TABLE, Context, client

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

CONTEXT: Any = Context()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    environment = {"TABLE_NAME": TABLE}
    tables = {TABLE: ("pk", "sk")}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment) as made:
        yield made


class Function:
    """The projection's reader, as it is invoked."""

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        answer = projection.handler(json.loads(Payload), CONTEXT)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class Orders:
    """A table with twenty changes of orders and ten events, and a failure record of a range."""

    way: ToStreamFunction

    def __init__(self) -> None:
        dynamodb: Any = client("dynamodb")
        # moto knows no endpoint with an account in its name.
        config = Config(account_id_endpoint_mode="disabled")
        session = boto3.Session("made-up", "made-up", region_name=REGION)
        self.streams: Any = session.client("dynamodbstreams", config=config)
        made = dynamodb.create_table(
            TableName="orders",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.arn = made["TableDescription"]["LatestStreamArn"]
        for n in range(30):
            kind = "ORDER" if n % 3 else f"EVENT#{n}"
            raw = {"B": bytes([n, 255])}
            item = {"pk": {"S": f"order-{n % 6}"}, "sk": {"S": kind}, "raw": raw}
            dynamodb.put_item(TableName="orders", Item=item)
        (shard,) = self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        self.shard = shard["ShardId"]
        self.first = int(shard["SequenceNumberRange"]["StartingSequenceNumber"])

    def range(self, start: int, end: int) -> dict[str, Any]:
        return {
            "streamArn": self.arn,
            "shardId": self.shard,
            "startSequenceNumber": str(self.first + start),
            "endSequenceNumber": str(self.first + end),
        }


def replay(cloud: Cloud, orders: Orders, range_: dict[str, Any], **more: Any) -> Any:
    """Put a failure record into the queue, and replay what it names."""
    sqs: Any = boto3.client("sqs")
    context = {"condition": "RetryAttemptsExhausted"}
    body = {"requestContext": context, "DDBStreamBatchInfo": range_} | more
    sqs.send_message(QueueUrl=cloud.queue_url, MessageBody=json.dumps(body))
    clients = {"lambda": Function(), "dynamodbstreams": orders.streams}
    orders.way = ToStreamFunction(clients.__getitem__, "function")
    return Redrive(orders.way, 10_000).run([Queue(sqs, cloud.queue_url)])


def test_the_changes_of_a_range_are_fetched_as_lambda_delivers_them_and_run_again(
    cloud: Cloud,
) -> None:
    orders = Orders()
    report = replay(cloud, orders, orders.range(3, 12))
    assert (orders.way.records, report.accepted, report.kept) == (10, 1, {})
    projected = {item["pk"]: item["raw"] for item in cloud.items()}
    assert projected.keys() == {"order-1", "order-2", "order-4", "order-5"}
    assert cloud.letters() == []


def test_a_change_that_a_failure_has_with_it_is_run_without_the_stream(cloud: Cloud) -> None:
    orders = Orders()
    kept = [*ranges.fetch_changes(orders.streams, orders.range(4, 4))]
    report = replay(cloud, orders, {"shardId": ""}, payload={"Records": kept})
    assert (orders.way.records, report.accepted) == (1, 1)
    assert [item["pk"] for item in cloud.items()] == ["order-4"]


@pytest.mark.parametrize("code", ["TrimmedDataAccessException", "ResourceNotFoundException"])
def test_a_range_that_the_stream_has_forgotten_is_kept_and_said_to_be_lost(
    code: str, cloud: Cloud
) -> None:
    orders = Orders()
    real = orders.streams

    class Forgets:
        exceptions = real.exceptions

        def get_shard_iterator(self, **_: Any) -> Any:
            response: Any = {"Error": {"Code": code, "Message": "old"}}
            raise getattr(real.exceptions, code)(response, "GetShardIterator")

    orders.streams = Forgets()
    report = replay(cloud, orders, orders.range(0, 3))
    assert report.kept == {GONE: 1}
    assert report.accepted == 0


def test_a_range_whose_first_change_is_gone_is_kept(cloud: Cloud) -> None:
    orders = Orders()
    with pytest.raises(ranges.GoneError):
        list(ranges.fetch_changes(orders.streams, orders.range(100, 120)))


def test_a_change_too_large_for_its_failure_is_found_in_the_shard_that_has_it(cloud: Cloud) -> None:
    """The reader that refused it knows its number, and not which of several shards has it."""
    orders = Orders()
    real, asked = orders.streams, list[str]()

    class Several:
        exceptions = real.exceptions
        get_records = real.get_records

        def describe_stream(self, **given: Any) -> Any:
            has = {"StartingSequenceNumber": str(orders.first)}
            closed = has | {"EndingSequenceNumber": str(orders.first + 1)}
            page = [("closed", closed), ("other", has)]
            if "ExclusiveStartShardId" in given:
                page = [(orders.shard, has)]
            shards = [{"ShardId": id_, "SequenceNumberRange": has} for id_, has in page]
            more = {} if len(page) == 1 else {"LastEvaluatedShardId": "other"}
            return {"StreamDescription": {"Shards": shards, **more}}

        def get_shard_iterator(self, ShardId: str, **given: Any) -> Any:  # noqa: N803
            asked.append(ShardId)
            wrong = {"SequenceNumber": str(orders.first + 9)} if ShardId == "other" else {}
            return real.get_shard_iterator(**{"ShardId": orders.shard, **given, **wrong})

    orders.streams = Several()
    named = orders.range(4, 4) | {"shardId": ""}
    report = replay(cloud, orders, named, payload=None)
    assert (orders.way.records, report.accepted, report.kept) == (1, 1, {})
    assert [item["pk"] for item in cloud.items()] == ["order-4"]
    assert asked == ["other", orders.shard]
    assert replay(cloud, orders, orders.range(100, 100) | {"shardId": ""}).kept == {GONE: 1}
