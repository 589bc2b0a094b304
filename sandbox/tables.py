"""Looks into DynamoDB tables through the API, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .target import Deployment


def rows(stack: Deployment, table: str, where: str, text: str) -> list[dict[str, Any]]:
    """Return the items of a table that meet a condition, in Python's types.

    ``where`` is a filter expression with ``:text`` in it, such as ``begins_with(pk, :text)``.
    """
    condition = {"FilterExpression": where, "ExpressionAttributeValues": {":text": {"S": text}}}
    scan = stack.client("dynamodb").get_paginator("scan")
    pages = scan.paginate(TableName=table, ConsistentRead=True, **condition)
    plain = TypeDeserializer().deserialize
    return [plain({"M": item}) for page in pages for item in page["Items"]]


def put_numbers(stack: Deployment, table: str, attribute: str, numbers: Mapping[str, int]) -> None:
    """Put items whose key is ``id`` into a table, each with one number, by their ids."""
    for key, number in numbers.items():
        item = {"id": {"S": key}, attribute: {"N": str(number)}}
        stack.client("dynamodb").put_item(TableName=table, Item=item)


def count(stack: Deployment, table: str, keys: Sequence[str]) -> int:
    """Return how many of up to 100 items, by their key ``pk``, a table without sort key has."""
    wanted = {"Keys": [{"pk": {"S": key}} for key in keys], "ConsistentRead": True}
    answer = stack.client("dynamodb").batch_get_item(RequestItems={table: wanted})
    return len(answer["Responses"][table])
