"""SQS → DynamoDB: orders, each stored once; those of a closed warehouse are attempted later.

Only failed orders are hidden, each for longer with every attempt; the others are done with.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ..foundation import batch, orders, visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation import tables
    from ..foundation.messages import Message


def _put(first: Mapping[str, tuple[orders.Order, Message]]) -> tables.Puts:
    closed = os.environ.get("CLOSED", "").split()  # the currencies whose warehouse is
    received = {id_: one for id_, one in first.items() if one[0].document["currency"] not in closed}
    puts = orders.put_each(received)
    puts.failed |= {id_: "WarehouseClosed" for id_ in first if id_ not in received}
    return puts


handler = batch.handler(
    orders.parse, partial(orders.store, put=_put), report=visibility.retry_later
)
