"""The promises of the construct beyond those of every stream's reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from serverless_patterns.patterns.dynamodb_streams_lambda.construct import (
    BY_EXPIRY,
    BY_USERS,
    DynamoDbStreamsToLambda,
    NewTable,
    StreamConsumer,
    operations,
)
from tests.inline import function, granted, only, properties, rejected, warned

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING)
ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/theirs"
VIEW = dynamodb.StreamViewType
IMAGE = operations("MODIFY", dynamodb={"NewImage": {"total": {"N": [{"exists": True}]}}})


def own(stack: Stack, construct_id: str = "Own", **settings: Any) -> dynamodb.Table:
    return dynamodb.Table(stack, construct_id, partition_key=KEY, **settings)


def read(stack: Stack, *filters: Any, table: Any = None, **settings: Any) -> Any:
    given = {} if table is None else {"table": table}
    changes = DynamoDbStreamsToLambda(stack, "Pattern", **given)
    return changes.add_consumer(
        "Reader", StreamConsumer(function=function(stack), filters=filters, **settings)
    )


def test_a_new_table_is_kept_restorable_and_tells_both_images(stack: Stack) -> None:
    DynamoDbStreamsToLambda(stack, "Pattern")
    (table,) = Template.from_stack(stack).find_resources("AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "Retain"
    made = table["Properties"]
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert made["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert made["BillingMode"] == "PAY_PER_REQUEST"


def test_every_setting_reaches_the_new_table(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    table = NewTable(
        partition_key="order",
        sort_key="line",
        stream=VIEW.NEW_IMAGE,
        time_to_live_attribute="until",
        encryption_key=key,
        removal_policy=RemovalPolicy.DESTROY,
    )
    read(stack, table=table, encryption_key=key)
    (made,) = properties(stack, "DynamoDB::Table")
    assert [one["AttributeName"] for one in made["KeySchema"]] == ["order", "line"]
    assert made["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert made["TimeToLiveSpecification"] == {"AttributeName": "until", "Enabled": True}
    assert made["SSESpecification"]["KMSMasterKeyId"] == stack.resolve(key.key_arn)


def test_a_reader_may_read_the_stream_and_report_failures_and_no_more(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    read(stack, table=NewTable(encryption_key=key))
    assert granted(Template.from_stack(stack), "Consumer") == {
        ("dynamodb:DescribeStream", "<PatternTable>"),
        ("dynamodb:GetRecords", "<PatternTable>"),
        ("dynamodb:GetShardIterator", "<PatternTable>"),
        ("dynamodb:ListStreams", "<PatternTable>/stream/*"),
        ("sqs:SendMessage", "<PatternReaderFailures>"),
        ("kms:Decrypt", "<Key>"),
    }


def test_a_change_that_fails_is_given_up_while_it_can_still_be_fetched_back(stack: Stack) -> None:
    read(stack)
    (mapping,) = properties(stack, "Lambda::EventSourceMapping")
    assert mapping["MaximumRecordAgeInSeconds"] == 12 * 3600
    with rejected("gives a record up after 1 day, but .* keeps it for 1 day"):
        read(Stack(App(), "Other"), max_record_age=Duration.days(1))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda s: own(s), "Stack/Own has no stream.*Give it stream="),
        (
            lambda s: dynamodb.Table.from_table_arn(s, "Own", ARN),
            "Stack/Own has no stream.*Import it with Table.from_table_attributes",
        ),
    ],
)
def test_a_table_without_a_stream_is_rejected(
    make: Callable[[Stack], Any], problem: str, stack: Stack
) -> None:
    with rejected(problem):
        DynamoDbStreamsToLambda(stack, "Pattern", table=make(stack))


def test_a_table_of_another_region_is_rejected() -> None:
    stack = Stack(App(), "Stack", env={"account": "123456789012", "region": "eu-west-1"})
    theirs = dynamodb.Table.from_table_attributes(
        stack, "Theirs", table_arn=ARN, table_stream_arn=f"{ARN}/stream/2026"
    )
    with rejected("table Stack/Theirs is in Region eu-central-1, but a reader is made beside"):
        DynamoDbStreamsToLambda(stack, "Pattern", table=theirs)


def test_an_imported_table_is_warned_of(stack: Stack) -> None:
    theirs = dynamodb.Table.from_table_attributes(
        stack, "Theirs", table_arn=ARN, table_stream_arn=f"{ARN}/stream/2026"
    )
    read(stack, IMAGE, table=theirs)
    warned(stack, "its stream cannot be checked.*Table.from_table_attributes")
    assert ("dynamodb:GetRecords", f"{ARN}/stream/2026") in granted(
        Template.from_stack(stack), "Consumer"
    )


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (VIEW.KEYS_ONLY, "Reader filters by NewImage, but the stream of Stack/Own has KEYS_ONLY"),
        (VIEW.OLD_IMAGE, "has OLD_IMAGE: no change matches"),
        (VIEW.NEW_IMAGE, None),
        (VIEW.NEW_AND_OLD_IMAGES, None),
    ],
)
def test_a_filter_by_an_image_that_the_stream_lacks_is_rejected(
    view: Any, problem: str | None, stack: Stack
) -> None:
    with rejected(problem):
        read(stack, IMAGE, table=own(stack, stream=view))


def test_a_table_of_the_newer_construct_is_read_as_well(stack: Stack) -> None:
    view = VIEW.NEW_AND_OLD_IMAGES
    table = dynamodb.TableV2(stack, "Own", partition_key=KEY, dynamo_stream=view)
    read(stack, IMAGE, table=table)
    (mapping,) = properties(stack, "Lambda::EventSourceMapping")
    assert mapping["EventSourceArn"] == stack.resolve(table.table_stream_arn)


def test_a_third_reader_is_rejected(stack: Stack) -> None:
    changes = DynamoDbStreamsToLambda(stack, "Pattern")
    for name in ("One", "Two"):
        changes.add_consumer(name, function(stack, name))
    with rejected("3 readers read the stream of Stack/Pattern/Table, but that of a table takes 2"):
        changes.add_consumer("Three", function(stack, "Three"))
    assert len(changes.alarms) == 10


def test_filters_choose_by_operation_and_by_who_deleted_an_item(stack: Stack) -> None:
    read(stack, operations("REMOVE", **BY_EXPIRY), operations("INSERT", "REMOVE", **BY_USERS))
    made = only(Template.from_stack(stack), "AWS::Lambda::EventSourceMapping")
    expired, users = (json.loads(one["Pattern"]) for one in made["FilterCriteria"]["Filters"])
    assert expired == {
        "eventName": ["REMOVE"],
        "userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]},
    }
    assert users == {
        "eventName": ["INSERT", "REMOVE"],
        "userIdentity": {"type": [{"exists": False}]},
    }


@pytest.mark.parametrize("names", [(), ("DELETE",), ("INSERT", "insert")])
def test_an_operation_that_there_is_not_is_rejected(names: tuple[str, ...]) -> None:
    with rejected("give some of INSERT, MODIFY, REMOVE"):
        operations(*names)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"sort_key": "pk"}, "sort_key is pk, as partition_key is"),
        ({"partition_key": ""}, "partition_key is ''; it must be 1 to 255 characters"),
        ({"sort_key": 256 * "k"}, "kk'; it must be 1 to 255 characters"),
        ({"time_to_live_attribute": ""}, "time_to_live_attribute is ''; it must be 1"),
        ({"time_to_live_attribute": "pk"}, "time_to_live_attribute is pk, a key"),
        ({"stream": "NEW_IMAGE"}, "stream is 'NEW_IMAGE'; it must be of type StreamViewType"),
        ({"removal_policy": RemovalPolicy.SNAPSHOT}, "removal_policy is SNAPSHOT"),
    ],
)
def test_a_setting_that_dynamodb_rejects_is_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        NewTable(**settings)
