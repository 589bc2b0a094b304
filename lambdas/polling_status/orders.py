"""SQS → DynamoDB: orders, each stored once; the status of each, for the client that polls."""

from functools import partial

from ..foundation import batch, orders, statuses

store = partial(orders.store, put=orders.put_each)
handler = batch.handler(orders.parse, store, report=statuses.report)
