"""SQS → DynamoDB: orders, each stored once. Reports each failed record, and no other."""

from __future__ import annotations

from functools import partial

from ..foundation import batch, orders
from . import store

handler = batch.handler(orders.parse, partial(orders.store, put=store.put))
