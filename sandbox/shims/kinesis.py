"""Kinesis Data Streams."""

GAPS = {"kinesis-throttling": "A shard takes any number of records, so no call fails in part."}
