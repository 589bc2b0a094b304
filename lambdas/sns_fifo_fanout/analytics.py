"""SQS → S3: every price change, as newline-delimited JSON by day.

A batch costs one write call for each day in it.
"""

from ..foundation import batch
from . import lake, logic

handler = batch.handler(logic.parse, lake.write)
