"""SQS → DynamoDB: orders, each stored once. Reports each failed record, and no other."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ..foundation import batch, orders, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message


def _put(first: Mapping[str, tuple[orders.Order, Message]]) -> tables.Puts:
    return tables.put_new({order.id: _new(order, message) for order, message in first.values()})


def _new(order: orders.Order, message: Message) -> Any:
    item = {
        "pk": order.id,
        **order.document,
        "message_id": message.id,
        "fingerprint": order.fingerprint,
    }
    return tables.new(os.environ["TABLE_NAME"], item)


handler = batch.handler(orders.parse, partial(orders.store, put=_put))
