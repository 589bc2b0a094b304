"""SQS FIFO → DynamoDB: the orders of a customer in their order, each stored once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..foundation import batch, orders
from ..foundation.outcomes import RefusedError
from . import store

if TYPE_CHECKING:
    from ..foundation.messages import Message


def parse(message: Message) -> orders.Order:
    """Return the order in a message.

    Raises:
        RefusedError: it is not a valid order, or not in its customer's message group.
    """
    order = orders.parse(message)
    if message.group_id != order.document["customer_id"]:
        raise RefusedError("group", "The message group is not the customer's id.")
    return order


handler = batch.handler(parse, partial(orders.store, put=store.put), fifo=True)
