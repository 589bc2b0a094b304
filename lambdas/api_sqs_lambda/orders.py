"""SQS → DynamoDB: orders, in no order, each stored once. A batch costs one write call."""

from __future__ import annotations

from functools import partial

from ..foundation import batch, orders
from . import store

handler = batch.handler(orders.parse, partial(orders.store, put=store.put_orders))
