"""SQS FIFO → DynamoDB: the price list of one channel, each part's changes in order.

A batch costs one write call, as a rule. A change that is refused does not hold up those behind
it; one that failed holds up its own part only.
"""

from ..foundation import batch
from . import logic, price_list

handler = batch.handler(logic.parse_in_group, price_list.record, fifo=True)
