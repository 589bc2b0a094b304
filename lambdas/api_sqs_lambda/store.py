"""Orders and the history of their changes in DynamoDB: the only file that calls it.

Keys: ``pk`` is ``ORDER#<order id>``; ``sk`` is ``ORDER`` for the order, ``CHANGES`` for the head
of its history, ``CHANGE#<change id>`` for a change. Nothing expires, so a duplicate is recognized
forever.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, tables
from .logic import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..foundation.messages import Message
    from ..foundation.orders import Order
    from .logic import Change

HEAD = "CHANGES"


def put_orders(orders: Mapping[str, tuple[Order, Message]]) -> tables.Puts:
    """Store the orders whose id is free, in one call; orders by id, each with its message."""
    return tables.put_new(
        {
            order_id: _new(order, message, order_id, "ORDER")
            for order_id, (order, message) in orders.items()
        }
    )


def read_history(changes: Iterable[Change]) -> History:
    """Return what is stored for these changes and their orders, in one call."""
    sort_keys = {change.order_id: {HEAD: ""} for change in changes}
    for change in changes:
        sort_keys[change.order_id][f"CHANGE#{change.id}"] = change.id
    keys = [(order_id, sk) for order_id, sks in sort_keys.items() for sk in sks]
    answer = tables.client().transact_get_items(
        TransactItems=[
            {
                "Get": {
                    "TableName": os.environ["TABLE_NAME"],
                    "Key": tables.serialize(_key(*key)),
                    "ProjectionExpression": "revision, fingerprint",
                }
            }
            for key in keys
        ]
    )
    history = History()
    for (order_id, sk), response in zip(keys, answer["Responses"], strict=True):
        item = response.get("Item", {})
        if sk == HEAD:
            history.revisions[order_id] = int(item["revision"]["N"]) if item else 0
        elif item:
            history.fingerprints[order_id, sort_keys[order_id][sk]] = tables.fingerprint(item)
    return history


def append_changes(
    changes: Iterable[tuple[Change, int, Message]], history: History
) -> dict[str, str]:
    """Append changes to their orders' histories, in one call; return error codes by order id.

    An order's changes are written all or none, and only if nobody else has appended meanwhile.

    Args:
        changes: Each with its revision and its message.
        history: As it was read.
    """
    actions: dict[str, list[Any]] = {}
    revisions: dict[str, int] = {}
    for change, revision, message in changes:
        row = {"revision": revision, "sequence_number": message.sequence_number}
        put = _new(change, message, change.order_id, f"CHANGE#{change.id}", **row)
        actions.setdefault(change.order_id, []).append({"Put": put})
        revisions[change.order_id] = revision
    for order_id, revision in revisions.items():
        head = _move_head(order_id, history.revisions[order_id], revision)
        actions[order_id].append({"Update": head})
    return _append(actions) if actions else {}


def _append(actions: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Write the actions in one transaction; if it is canceled, in one for each order."""
    together = [action for group in actions.values() for action in group]
    try:
        tables.client().transact_write_items(TransactItems=together)
    except (ClientError, BotoCoreError) as error:
        code = aws.code(error)
        if len(actions) == 1 or code not in ("TransactionCanceledException", "ValidationException"):
            return dict.fromkeys(actions, code)
        failed: dict[str, str] = {}
        for order_id, group in actions.items():
            failed |= _append({order_id: group})
        return failed
    return {}


def _move_head(order_id: str, old: int, new: int) -> dict[str, Any]:
    """Return the update of a history's head, on condition that it is still the one we read."""
    values = {":new": new} | ({":old": old} if old else {})
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Key": tables.serialize(_key(order_id, HEAD)),
        "UpdateExpression": "SET revision = :new",
        "ConditionExpression": "revision = :old" if old else "attribute_not_exists(pk)",
        "ExpressionAttributeValues": tables.serialize(values),
    }


def _new(document: Order | Change, message: Message, order_id: str, sk: str, **more: Any) -> Any:
    item = {
        **_key(order_id, sk),
        **document.document,
        "message_id": message.id,
        "request_id": message.request_id,
        "received_at": message.received_at,
        "fingerprint": document.fingerprint,
        "stored_at": time.time_ns() // 10**6,
        **more,
    }
    return tables.new(os.environ["TABLE_NAME"], item)


def _key(order_id: str, sk: str) -> dict[str, str]:
    return {"pk": f"ORDER#{order_id}", "sk": sk}
