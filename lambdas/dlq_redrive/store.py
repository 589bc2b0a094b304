"""The orders' table: the only file that calls it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message
    from ..foundation.orders import Order


def put(first: Mapping[str, tuple[Order, Message]]) -> tables.Puts:
    """Store the orders whose id is free, in one call, with their places in a FIFO queue."""
    return tables.put_new(
        {id_: _new(order, message.sequence_number or "") for id_, (order, message) in first.items()}
    )


def _new(order: Order, place: str) -> object:
    item = {"pk": order.id, **order.document, "fingerprint": order.fingerprint, "place": place}
    return tables.new(os.environ["TABLE_NAME"], item)
