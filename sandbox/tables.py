"""Looks into DynamoDB tables through the API, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .target import Deployment


def rows(stack: Deployment, table: str, where: str, text: str) -> list[dict[str, Any]]:
    """Return the items of a table that meet a condition, without DynamoDB's types at the top.

    Args:
        stack: Where the table is.
        table: Its name.
        where: A filter expression with ``:text`` in it: ``begins_with(pk, :text)``.
        text: The value of ``:text``.
    """
    pages = (
        stack.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            ConsistentRead=True,
            FilterExpression=where,
            ExpressionAttributeValues={":text": {"S": text}},
        )
    )
    return [
        {name: next(iter(value.values())) for name, value in item.items()}
        for page in pages
        for item in page["Items"]
    ]


def put_numbers(stack: Deployment, table: str, attribute: str, numbers: Mapping[str, int]) -> None:
    """Put items whose key is ``id`` into a table, each with one number, by their ids."""
    for key, number in numbers.items():
        item = {"id": {"S": key}, attribute: {"N": str(number)}}
        stack.client("dynamodb").put_item(TableName=table, Item=item)


def count(stack: Deployment, table: str, keys: Sequence[str]) -> int:
    """Return how many of up to 100 items are in a table without a sort key.

    Args:
        stack: Where the table is.
        table: Its name; its key is the string ``pk``.
        keys: The items' keys.
    """
    wanted = {
        "Keys": [{"pk": {"S": key}} for key in keys],
        "ConsistentRead": True,
        "ProjectionExpression": "pk",
    }
    answer = stack.client("dynamodb").batch_get_item(RequestItems={table: wanted})
    return len(answer["Responses"][table])
