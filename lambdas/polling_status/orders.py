"""SQS → DynamoDB: orders, each stored once; the status of each, for the client that polls."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ..foundation import batch, orders, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation import tables
    from ..foundation.messages import Message


def _put(first: Mapping[str, tuple[orders.Order, Message]]) -> tables.Puts:
    return orders.put_in(
        os.environ["TABLE_NAME"], {id_: (order, it.id) for id_, (order, it) in first.items()}
    )


handler = batch.handler(orders.parse, partial(orders.store, put=_put), report=statuses.report)
