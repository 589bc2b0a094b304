"""Looks into DynamoDB tables through the API, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .target import Deployment


def rows(stack: Deployment, table: str, where: str, text: str) -> list[dict[str, Any]]:
    """Return the items of a table that meet a condition, without DynamoDB's types at the top.

    Args:
        stack: Where the table is.
        table: Its name.
        where: A filter expression with ``:text`` in it: ``begins_with(pk, :text)``.
        text: What ``:text`` stands for.
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
