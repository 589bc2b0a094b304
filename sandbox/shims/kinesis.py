"""Kinesis Data Streams."""

GAPS = {
    "kinesis-resharding": "A shard that is split or merged is gone at once, with the records that "
    "nobody has read.",
    "kinesis-throttling": "A shard takes any number of records, so no call fails in part.",
}
