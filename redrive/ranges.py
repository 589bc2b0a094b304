"""Fetches ranges back from a stream, of Kinesis or of a table, as Lambda delivers them."""

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


def fetch(kinesis: Any, range_: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of a range of a stream, in the form in which Lambda delivers them.

    Args:
        kinesis: Client.
        range_: ``KinesisBatchInfo`` of a failure record.

    Raises:
        GoneError: the first record is no longer there.
        KeyError: it is no range.
    """
    # That of enhanced fan-out may end with /consumer/name:time, which reads no records.
    arn = range_["streamArn"].partition("/consumer/")[0]
    shard, end = range_["shardId"], int(range_["endSequenceNumber"])
    start = range_["startSequenceNumber"]
    where = {"StreamARN": arn, "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    try:
        answer = kinesis.get_shard_iterator(**where, StartingSequenceNumber=start)
    except kinesis.exceptions.ResourceNotFoundException as error:  # the shard has expired, too
        raise GoneError(aws.code(error)) from error
    iterator = answer["ShardIterator"]
    number, first = -1, True
    while iterator and number < end:
        answer = kinesis.get_records(ShardIterator=iterator, StreamARN=arn)
        for record in answer["Records"]:
            number = int(record["SequenceNumber"])
            if first and number != int(start):
                raise GoneError
            if number <= end:
                yield _record(record, shard, arn)
            first = False
        iterator = answer.get("NextShardIterator")
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            break
    if first:
        raise GoneError


def _record(record: Mapping[str, Any], shard: str, arn: str) -> dict[str, Any]:
    return {
        "eventID": f"{shard}:{record['SequenceNumber']}",
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": arn,
        "eventVersion": "1.0",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
        },
    }


def fetch_changes(streams: Any, range_: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
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
                    yield _change(record, arn)
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


def _change(record: Mapping[str, Any], arn: str) -> dict[str, Any]:
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
