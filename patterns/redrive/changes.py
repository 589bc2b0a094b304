"""Fetches changes back from the stream of a table, as Lambda delivers them."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import aws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EMPTY_ANSWERS = 100  # in a row; a shard may answer with none before its next records


class GoneError(Exception):
    """The stream no longer keeps the first record of a range."""


def fetch(streams: Any, range_: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every change of a range, also those that the reader's filters leave out.

    Args:
        streams: Client of DynamoDB Streams.
        range_: ``DDBStreamBatchInfo`` of a failure record. A reader that refuses a change is not
            told its shard, so without one each is asked.

    Raises:
        GoneError: the first change is no longer there.
        KeyError: it is no range.
    """
    arn, start = range_["streamArn"], range_["startSequenceNumber"]
    shards = [range_["shardId"]] if range_["shardId"] else _shards_of(streams, arn, int(start))
    for shard in shards:
        with suppress(GoneError):
            yield from _of_shard(streams, arn, shard, start, int(range_["endSequenceNumber"]))
            return
    raise GoneError


def _of_shard(streams: Any, arn: str, shard: str, start: str, end: int) -> Iterator[dict[str, Any]]:
    errors = streams.exceptions
    try:
        iterator = streams.get_shard_iterator(
            StreamArn=arn,
            ShardId=shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=start,
        )["ShardIterator"]
        number, empty = -1, 0
        while iterator and number < end and empty < EMPTY_ANSWERS:
            answer = streams.get_records(ShardIterator=iterator)
            for record in answer["Records"]:
                first, number = number < 0, int(record["dynamodb"]["SequenceNumber"])
                if first and number != int(start):
                    raise GoneError
                if number <= end:
                    yield _as_delivered(record, arn)
            empty = 0 if answer["Records"] else empty + 1
            iterator = answer.get("NextShardIterator")
    except (errors.TrimmedDataAccessException, errors.ResourceNotFoundException) as error:
        raise GoneError(aws.code(error)) from error
    if number < 0:
        raise GoneError


def _shards_of(streams: Any, arn: str, number: int) -> Iterator[str]:
    """Yield the shards that may have a change: several take changes at the same time."""
    more: dict[str, str] = {}
    while True:
        about = streams.describe_stream(StreamArn=arn, **more)["StreamDescription"]
        for shard in about["Shards"]:
            has = shard["SequenceNumberRange"]
            end = int(has.get("EndingSequenceNumber", number))
            if int(has["StartingSequenceNumber"]) <= number <= end:
                yield shard["ShardId"]
        if not (last := about.get("LastEvaluatedShardId")):
            return
        more = {"ExclusiveStartShardId": last}


def _as_delivered(record: Mapping[str, Any], arn: str) -> dict[str, Any]:
    said = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in said:
        said["ApproximateCreationDateTime"] = said["ApproximateCreationDateTime"].timestamp()
    return {**record, "eventSourceARN": arn, "dynamodb": _in_base64(said)}


def _in_base64(value: Any) -> Any:
    """Return a value with bytes as Lambda writes them."""
    if isinstance(value, dict):
        return {name: _in_base64(one) for name, one in value.items()}
    if isinstance(value, list | set):
        return [_in_base64(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
