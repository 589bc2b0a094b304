"""Where a resource is: in another account or Region than what it is given to."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from serverless_patterns.patterns.blocks.places import elsewhere
from tests.inline import function

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
