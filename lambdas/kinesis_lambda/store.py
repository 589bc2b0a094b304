"""Stock, movements and totals in DynamoDB: the only file that calls it.

Stock: ``pk`` is ``PART#<part id>``; ``sk`` is ``STOCK`` for its stock, ``MOVEMENT#<id>`` for a
movement, with its ``place`` in the part's order. Totals: ``pk`` is the window's start, ``sk`` names
the shard and the first record counted. Nothing expires, so a duplicate is recognized forever.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, tables
from .logic import Stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .logic import Key, Movement, Totals

STOCK = "STOCK"
# A transaction has 100 actions; each of these movements may be of another part.
MAX_MOVEMENTS = 50
# Of a window's totals in an item of 400 KB.
MAX_PARTS = 2_500


class ReadInPartError(BotoCoreError):
    """DynamoDB has read only some of the items; the batch comes again."""

    fmt = "DynamoDB read only some of the items"


def read(movements: Sequence[Movement]) -> tuple[dict[str, Stock], dict[Key, str]]:
    """Return the stocks of these movements' parts, and the fingerprints of those stored already.

    One call for up to ``MAX_MOVEMENTS``.

    Raises:
        ReadInPartError: DynamoDB is too busy.
    """
    table = os.environ["TABLE_NAME"]
    stocks = {movement.part_id: Stock() for movement in movements}
    keys = [*((_part(part), STOCK) for part in stocks), *dict.fromkeys(map(_key, movements))]
    wanted = {
        "Keys": [tables.serialize({"pk": pk, "sk": sk}) for pk, sk in keys],
        "ConsistentRead": True,
        "ProjectionExpression": "pk, sk, movements, on_hand, fingerprint",
    }
    answer: Any = tables.client().batch_get_item(RequestItems={table: wanted})  # type: ignore[dict-item]
    if answer.get("UnprocessedKeys"):
        raise ReadInPartError
    stored = {}
    for item in answer["Responses"][table]:
        part = item["pk"]["S"].partition("#")[2]
        if item["sk"]["S"] == STOCK:
            stocks[part] = Stock(int(item["movements"]["N"]), int(item["on_hand"]["N"]))
        else:
            stored[part, item["sk"]["S"].partition("#")[2]] = tables.fingerprint(item)
    return stocks, stored


def write(
    new: Mapping[str, Sequence[tuple[Movement, int]]],
    before: Mapping[str, Stock],
    after: Mapping[str, Stock],
) -> dict[str, str]:
    """Store new movements and their parts' stocks, in one call; return error codes by part.

    A part's are stored all or none, and only if nobody else has moved it meanwhile.

    Args:
        new: Movements of each part, each with its place in the part's order.
        before: Stocks as they were read.
        after: Stocks after these movements.

    Raises:
        BotoCoreError: DynamoDB cannot be reached.
    """
    actions = {
        part: [
            *({"Put": _put(movement, place)} for movement, place in moved),
            {"Update": _update(part, before[part], after[part])},
        ]
        for part, moved in new.items()
    }
    return _write(actions) if actions else {}


def put_totals(window: str, shard: str, totals: Totals) -> None:
    """Store the totals of a window of a shard; the same ones again change nothing."""
    some = [*aws.batches(sorted(totals.sold.items()), most=MAX_PARTS)] or [[]]
    for number, sold in enumerate(some):
        item = {
            "pk": window,
            "sk": f"{shard}#{totals.first}#{number}",
            "sold": dict(sold),
            "events": 0 if number else totals.events,
            "unreadable": 0 if number else totals.unreadable,
        }
        tables.client().put_item(TableName=os.environ["TABLE_NAME"], Item=tables.serialize(item))


def _write(actions: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Write the actions in one transaction; if it is canceled, in one for each part."""
    together = [action for group in actions.values() for action in group]
    try:
        tables.client().transact_write_items(TransactItems=together)
    except ClientError as error:
        code = aws.code(error)
        if len(actions) == 1 or code not in ("TransactionCanceledException", "ValidationException"):
            return dict.fromkeys(actions, code)
        failed: dict[str, str] = {}
        for part, group in actions.items():
            failed |= _write({part: group})
        return failed
    return {}


def _put(movement: Movement, place: int) -> Any:
    pk, sk = _key(movement)
    item = {"pk": pk, "sk": sk, **movement.document, "place": place}
    table = os.environ["TABLE_NAME"]
    return tables.new(table, item | {"fingerprint": movement.fingerprint})


def _update(part: str, before: Stock, after: Stock) -> dict[str, Any]:
    """Return the update of a part's stock, on condition that it is still the one we read."""
    values = {":movements": after.movements, ":on_hand": after.on_hand}
    values |= {":before": before.movements} if before.movements else {}
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Key": tables.serialize({"pk": _part(part), "sk": STOCK}),
        "UpdateExpression": "SET movements = :movements, on_hand = :on_hand",
        "ConditionExpression": (
            "movements = :before" if before.movements else "attribute_not_exists(pk)"
        ),
        "ExpressionAttributeValues": tables.serialize(values),
    }


def _key(movement: Movement) -> tuple[str, str]:
    return _part(movement.part_id), f"MOVEMENT#{movement.id}"


def _part(part_id: str) -> str:
    return f"PART#{part_id}"
