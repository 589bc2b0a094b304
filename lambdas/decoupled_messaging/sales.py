"""SQS → DynamoDB: the orders in the store of sales, each once; and how each ended, for its client.

What fails is delivered again by SQS, and after the last attempt it is dead-lettered.
"""

from ..foundation import batch, orders, statuses

handler = batch.handler(orders.parse, orders.store, report=statuses.report)
