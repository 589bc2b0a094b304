"""SQS → DynamoDB: orders, each stored once. Reports each failed record, and no other."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ..foundation import batch, orders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation import tables
    from ..foundation.messages import Message


def _put(first: Mapping[str, tuple[orders.Order, Message]]) -> tables.Puts:
    received = {id_: (order, message.id) for id_, (order, message) in first.items()}
    return orders.put_in(os.environ["TABLE_NAME"], received)


handler = batch.handler(orders.parse, partial(orders.store, put=_put))
