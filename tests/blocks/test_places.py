"""Where a resource is: in another account or Region than what it is given to."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions

from serverless_patterns.patterns.blocks.places import check_here, check_key_here, elsewhere
from tests.inline import function, rejected

TABLE = "arn:aws:dynamodb:{}:table/orders"
VERSION = "arn:aws:lambda:{}:function:orders:7"


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("eu-west-1:111111111111", None),
        ("us-east-1:111111111111", "Region us-east-1"),
        ("eu-west-1:222222222222", "account 222222222222"),
    ],
)
def test_a_table_or_a_version_is_where_its_arn_says(place: str, found: str | None) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    table, arn = dynamodb.Table, TABLE.format(place)
    imported: list[Any] = [
        table.from_table_arn(stack, "ByArn", arn),
        table.from_table_attributes(stack, "ByAttributes", table_arn=arn),
        lambda_.Version.from_version_arn(stack, "Version", VERSION.format(place)),
    ]
    assert [elsewhere(stack, one) for one in imported] == [found] * 3
    assert elsewhere(stack, table.from_table_name(stack, "ByName", "orders")) is None
    assert elsewhere(stack, function(stack)) is None


@pytest.mark.parametrize("region", ["eu-west-1", "cn-north-1"])
def test_what_is_of_another_partition_is_rejected(region: str) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region=region))
    place = f"{region}:111111111111"
    own, other = ("aws", "aws-cn") if region == "eu-west-1" else ("aws-cn", "aws")
    kinds: dict[str, Any] = {
        f"sns:{place}:theirs": sns.Topic.from_topic_arn,
        f"sqs:{place}:theirs": sqs.Queue.from_queue_arn,
        f"lambda:{place}:function:theirs": lambda_.Function.from_function_arn,
        f"kinesis:{place}:stream/theirs": kinesis.Stream.from_stream_arn,
        f"dynamodb:{place}:table/theirs": dynamodb.Table.from_table_arn,
        f"events:{place}:event-bus/theirs": events.EventBus.from_event_bus_arn,
        f"states:{place}:stateMachine:theirs": stepfunctions.StateMachine.from_state_machine_arn,
        "s3:::theirs": s3.Bucket.from_bucket_arn,
    }
    for number, (arn, imported) in enumerate(kinds.items()):
        assert elsewhere(stack, imported(stack, f"Own{number}", f"arn:{own}:{arn}")) is None
        with rejected(rf"Theirs{number} is arn:{other}:{arn}, .* begins with arn:{own}:, or with"):
            elsewhere(stack, imported(stack, f"Theirs{number}", f"arn:{other}:{arn}"))


def test_what_the_cdk_cannot_refer_to_from_a_stack_is_rejected() -> None:
    app = App()
    there = Stack(app, "There", env=Environment(account="111111111111", region="eu-west-1"))
    here = Stack(app, "Here")  # may be anywhere
    found: list[Any] = [
        function(there),
        kinesis.Stream(there, "Stream"),
        s3.Bucket(there, "Bucket"),
    ]
    for one in found:
        with rejected("is in stack There .*eu-west-1.*, but what needs it is in Here"):
            check_here(here, one.node.path, one, "why. Advice.")
    with rejected("encryption_key There/Key is in stack There"):
        check_key_here(here, kms.Key(there, "Key"))
    check_here(here, "name", s3.Bucket(there, "Named", bucket_name="prices"), "why. Advice.")
