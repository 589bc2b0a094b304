"""An order and its event, in one transaction: none is written without the other.

For programs that change orders; no function of the demo stack uses it. The event is published by
whoever reads the table's stream, so a program that ends right after the transaction loses nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..foundation import tables
from .logic import EVENT, ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping

# Events are kept longer than the stream keeps them, so that they can be published again.
KEPT = 7 * 86_400


class ConflictError(Exception):
    """Somebody else has changed the order meanwhile: read it, decide, and write again."""


def change(
    client: Any,
    table: str,
    order_id: str,
    event: tuple[str, str],
    document: Mapping[str, Any] | None,
) -> bool:
    """Replace an order, or delete it, and put an event into its outbox.

    Args:
        client: Of DynamoDB.
        table: Its name.
        order_id: The order's id.
        event: The event's id, and what is published. The same id again changes nothing.
        document: The order as it is from now on; None deletes it.

    Returns:
        Whether it was written now, and not before.

    Raises:
        ConflictError: somebody else has changed the order meanwhile; nothing was written.
    """
    key = tables.serialize({"pk": order_id, "sk": ORDER})
    found = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    version = int(found["version"]["N"]) if found else 0
    order: dict[str, Any] = {"TableName": table, "ConditionExpression": "attribute_not_exists(pk)"}
    if found:
        values = {":version": {"N": str(version)}}
        order |= {"ConditionExpression": "version = :version", "ExpressionAttributeValues": values}
    event_id, text = event
    if document is None:
        action = {"Delete": order | {"Key": key}}
    else:
        item = {**document, "pk": order_id, "sk": ORDER, "version": version + 1}
        action = {"Put": order | {"Item": tables.serialize(item | {"last_event": event_id})}}
    outbox = {
        "pk": order_id,
        "sk": f"{EVENT}{event_id}",
        "event": text,
        "expires_at": int(time.time()) + KEPT,
    }
    written = {"Put": tables.new(table, outbox)}
    try:
        client.transact_write_items(TransactItems=[action, written])
    except client.exceptions.TransactionCanceledException as error:
        _, of_event = tables.reasons(error)
        if of_event["Code"] == tables.CONDITION_FAILED:
            return False
        raise ConflictError(order_id) from error
    return True
