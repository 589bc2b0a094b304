"""A record of a stream that is refused is named as Lambda names what it gives up."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from serverless_patterns.lambdas.foundation.changes import Change
from serverless_patterns.lambdas.foundation.outcomes import Outcome
from serverless_patterns.lambdas.foundation.shards import Record
from tests.dynamodb_streams_lambda.changes import STREAM, Table

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:f"
KINESIS = "arn:aws:kinesis:eu-central-1:123456789012:stream/s"
REFUSED = Outcome("refused", "field", "A sentence.")


def kinesis(**more: Any) -> dict[str, Any]:
    said = {
        "sequenceNumber": "4959",
        "partitionKey": "key",
        "data": b64encode(b"{}").decode(),
        "approximateArrivalTimestamp": 1_790_000_000.5,
    }
    of = {"eventID": "shardId-000000000001:4959", "eventSourceARN": f"{KINESIS}/consumer/c:1"}
    return of | {"kinesis": said} | more


def test_a_record_of_kinesis_is_named_by_stream_shard_number_and_time() -> None:
    record = Record.of(kinesis())
    assert json.loads(record.failure(REFUSED, FUNCTION)) == {
        "requestContext": {
            "functionArn": FUNCTION,
            "condition": "Refused",
            "reason": "field",
        },
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000001",
            "startSequenceNumber": "4959",
            "endSequenceNumber": "4959",
            "approximateArrivalOfFirstRecord": "2026-09-21T14:13:20.500000+00:00",
            "approximateArrivalOfLastRecord": "2026-09-21T14:13:20.500000+00:00",
            "batchSize": 1,
            "streamArn": KINESIS,
        },
    }


def test_a_change_is_kept_with_its_name_and_in_its_own_letters() -> None:
    change = Table().write("é", {"version": 1})
    text = Record.of(change).failure(REFUSED, FUNCTION)
    assert '"é"' in text
    said = json.loads(text)
    number = change["dynamodb"]["SequenceNumber"]
    assert said["DDBStreamBatchInfo"] == {
        "shardId": "",
        "startSequenceNumber": number,
        "endSequenceNumber": number,
        "approximateArrivalOfFirstRecord": "2026-09-21T14:13:20+00:00",
        "approximateArrivalOfLastRecord": "2026-09-21T14:13:20+00:00",
        "batchSize": 1,
        "streamArn": STREAM,
    }
    assert said["payload"] == {"Records": [change]}


def test_every_event_of_a_stream_counts_as_received_once() -> None:
    for record in (kinesis(), Table().write("o", {})):
        (event,) = Record.of(record).events
        assert (event.receive_count, event.receipt_handle, event.attributes) == (1, "", {})


def test_a_record_without_source_or_time_is_read_all_the_same() -> None:
    record = kinesis()
    del (
        record["eventID"],
        record["eventSourceARN"],
        record["kinesis"]["approximateArrivalTimestamp"],
    )
    found = Record.of(record)
    assert (found.shard, found.stream, found.events[0].sent_at) == ("", "", 0)
    change = Table().write("o", {})
    del change["eventSourceARN"], change["dynamodb"]["ApproximateCreationDateTime"]
    found = Record.of(change)
    assert (found.shard, found.stream, found.events[0].sent_at) == ("", "", 0)


def test_a_change_has_the_item_as_it_was_and_as_it_is() -> None:
    table = Table()
    for record, before, after in (
        (table.write("o", {"n": 1}), None, "1"),
        (table.write("o", {"n": 2}), "1", "2"),
        (table.write("o", None), "2", None),
    ):
        change = Change.of(Record.of(record).events[0])
        assert (change.before or {}).get("n") == (before and {"N": before})
        assert (change.after or {}).get("n") == (after and {"N": after})
        assert (change.at, change.operation) == (1_790_000_000, record["eventName"])
