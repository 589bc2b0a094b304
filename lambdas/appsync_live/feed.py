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


def change(
    client: Any,
    table: str,
    customer: str,
    document: Mapping[str, Any],
    status: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Put an order as it is from now on; return the version that the change has.

    Versions of a customer have no gaps: two writers at once cannot take the same one, and one that
    is not written is not used up.

    Args:
        client: Of DynamoDB.
        table: Its name.
        customer: Whose order it is, and whose channel is told.
        document: The order.
        status: Such as ``placed`` or ``shipped``.
        sleep: Waits before the next attempt. Default: ``time.sleep``.

    Raises:
        ConflictError: see there.
    """
    feed = {"pk": customer, "sk": FEED}
    for attempt in range(ATTEMPTS):
        found = client.get_item(
            TableName=table, Key=tables.serialize(feed), ConsistentRead=True
        ).get("Item")
        version = int(found["newest"]["N"]) + 1 if found else 1
        counted = tables.new(table, {**feed, "newest": version})
        if found:
            values = {":seen": found["newest"]}
            counted |= {"ConditionExpression": "newest = :seen"}
            counted |= {"ExpressionAttributeValues": values}
        del counted["ReturnValuesOnConditionCheckFailure"]
        order = {
            "pk": customer,
            "sk": f"{ORDER}{document['order_id']}",
            "version": version,
            "status": status,
            "changed_at": time.time_ns() // 10**6,
            "order": strict_json.encode(document).decode(),
        }
        put = {"Put": {"TableName": table, "Item": tables.serialize(order)}}
        try:
            client.transact_write_items(TransactItems=[{"Put": counted}, put])
        except client.exceptions.TransactionCanceledException:
            sleep(min(1.0, 0.02 * 2**attempt) * random.random())  # noqa: S311 - jitter
        else:
            return version
    raise ConflictError(customer)
