"""A change of an order, with the next version of its customer, in one transaction.

For programs that change orders; no function of the demo stack uses it.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from ..foundation import strict_json, tables
from .logic import FEED, ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ATTEMPTS = 20


class ConflictError(Exception):
    """Others have changed the customer's orders each time: nothing was written; try again."""


def change(client: Any, table: str, customer: str, document: Mapping[str, Any], status: str) -> int:
    """Put an order as it is from now on; return the version that the change has.

    Args:
        client: Of DynamoDB.
        table: Its name.
        customer: Whose order it is, and whose channel is told.
        document: The order.
        status: Such as ``placed`` or ``shipped``.

    Raises:
        ConflictError: see there.
    """
    item = {"status": status, "order": strict_json.encode(document).decode()}
    return put(client, table, customer, document["order_id"], item)


def put(
    client: Any,
    table: str,
    customer: str,
    order_id: str,
    item: Mapping[str, Any],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Put the item of an order, with the next version; see ``change``.

    Versions of a customer have no gaps: two writers at once cannot take the same one, and one that
    is not written is not used up. ``sleep`` waits before the next attempt.
    """
    feed = {"pk": customer, "sk": FEED}
    for attempt in range(ATTEMPTS):
        key = tables.serialize(feed)
        found = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        newest = int(found["newest"]["N"]) if found else 0
        counted = {
            "TableName": table,
            "Item": tables.serialize({**feed, "newest": newest + 1}),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if found:
            values = {":seen": found["newest"]}
            counted |= {
                "ConditionExpression": "newest = :seen",
                "ExpressionAttributeValues": values,
            }
        order = {
            "pk": customer,
            "sk": f"{ORDER}{order_id}",
            "version": newest + 1,
            "changed_at": time.time_ns() // 10**6,
            **item,
        }
        puts = [counted, {"TableName": table, "Item": tables.serialize(order)}]
        try:
            client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
        except client.exceptions.TransactionCanceledException:
            sleep(min(1.0, 0.02 * 2**attempt) * random.random())  # noqa: S311 - jitter
        else:
            return newest + 1
    raise ConflictError(customer)
