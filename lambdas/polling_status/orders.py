"""SQS → DynamoDB: orders, each stored once; the status of each, for the client that polls."""

from ..foundation import batch, orders, statuses

handler = batch.handler(orders.parse, orders.store, report=statuses.report)
