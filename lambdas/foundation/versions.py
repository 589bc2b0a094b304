"""Items whose changes are counted: a reader that misses one sees a gap.

Those of an owner, its partition key, are counted together: each change has the next version. So one
owner takes some ten changes a second.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from . import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNTER = "FEED"  # sort key of the item with the owner's newest version
ATTEMPTS = 20


class ConflictError(Exception):
    """Others have changed the owner's items each time: nothing was written; try again."""


def put(
    client: Any,
    table: str,
    owner: str,
    sort_key: str,
    item: Mapping[str, Any],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Put an item with the owner's next version, in one transaction; return the version.

    Versions of an owner have no gaps: two writers at once cannot take the same one, and one that is
    not written is not used up.

    Args:
        client: Of DynamoDB.
        table: Its name; its keys are ``pk`` and ``sk``.
        owner: Whose item it is.
        sort_key: Of the item.
        item: Its other fields; ``version`` and ``changed_at``, in milliseconds, are added.
        sleep: Waits before the next attempt. Default: ``time.sleep``.

    Raises:
        ConflictError: see there.
    """
    counter = {"pk": owner, "sk": COUNTER}
    for attempt in range(ATTEMPTS):
        key = tables.serialize(counter)
        found = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        version = int(found["newest"]["N"]) + 1 if found else 1
        counted = tables.new(table, {**counter, "newest": version})
        if found:
            counted |= {
                "ConditionExpression": "newest = :seen",
                "ExpressionAttributeValues": {":seen": found["newest"]},
            }
        added = {"version": version, "changed_at": time.time_ns() // 10**6}
        changed = {"pk": owner, "sk": sort_key, **added, **item}
        puts = [counted, {"TableName": table, "Item": tables.serialize(changed)}]
        try:
            client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
        except client.exceptions.TransactionCanceledException:
            sleep(min(1.0, 0.02 * 2**attempt) * random.random())  # noqa: S311 - jitter
        else:
            return version
    raise ConflictError(owner)
