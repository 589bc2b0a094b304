"""SQS → DynamoDB: orders of a rule, each stored once. Reports each failed record, and no other."""

from ..foundation import batch, orders

handler = batch.handler(orders.parse, orders.store)
