"""The handler of a stream's reader: each record once in effect, in order within its partition key.

A record that no retry can help is named in the failure queue at once, and its shard goes on. One
that failed holds up those behind it of its partition key; Lambda continues from it, so a refused
record behind it is named when it comes again. If it is the first of its batch the call fails as a
whole, so that Lambda halves the batch until it is alone:
"Configuring partial batch response with Kinesis Data Streams and Lambda" (developer guide).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

from . import batch, dead_letters, kpl
from .logs import logger
from .messages import Message
from .outcomes import BEHIND_A_FAILURE, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from .batch import Handler, T, Write

REFUSED = "Refused"  # in the place of Lambda's own conditions, such as RetryAttemptsExhausted


@dataclass(frozen=True)
class Record:
    """A record of a stream, and the events in it: several if a producer has aggregated them.

    Args:
        number: Its sequence number.
        shard: Id of its shard.
        stream: ARN of the stream.
        events: Each as a message, whose group is the partition key.
    """

    number: str
    shard: str
    stream: str
    events: Sequence[Message]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Record:
        """Read a record of Kinesis, or of a table's stream, as Lambda delivers it."""
        return cls._change(record) if "dynamodb" in record else cls._data(record)

    @classmethod
    def _change(cls, record: Mapping[str, Any]) -> Record:
        """Read a change of an item: its body is the record, its group the item's key."""
        said = record["dynamodb"]
        message = Message(
            id=said["SequenceNumber"],
            body=json.dumps(record),
            sent_at=int(said.get("ApproximateCreationDateTime", 0) * 1000),
            receive_count=1,
            receipt_handle="",
            attributes={},
            group_id=json.dumps(said["Keys"], sort_keys=True),
        )
        return cls(message.id, "", str(record.get("eventSourceARN", "")), [message])

    @classmethod
    def _data(cls, record: Mapping[str, Any]) -> Record:
        said = record["kinesis"]
        number, data = said["sequenceNumber"], base64.b64decode(said["data"])
        try:
            events = kpl.split(data)
        except kpl.BrokenAggregateError:
            events = [data]  # refused as what it is not
        messages = [
            Message(
                id=f"{number}-{place}",
                body=event.decode(errors="surrogateescape"),
                sent_at=int(said.get("approximateArrivalTimestamp", 0) * 1000),
                receive_count=1,
                receipt_handle="",
                attributes={},
                group_id=said["partitionKey"],
            )
            for place, event in enumerate(events)
        ]
        shard = str(record.get("eventID", "")).partition(":")[0]
        # That of enhanced fan-out ends with /consumer/name:time.
        stream = str(record.get("eventSourceARN", "")).partition("/consumer/")[0]
        return cls(number, shard, stream, messages)

    def failure(self, outcome: Outcome, arn: str) -> str:
        """Return what Lambda records of a batch that it gave up, for this record alone.

        Form: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
        """
        arrived = datetime.fromtimestamp(self.events[0].sent_at / 1000, UTC).isoformat()
        batch_info = {
            "shardId": self.shard,
            "startSequenceNumber": self.number,
            "endSequenceNumber": self.number,
            "approximateArrivalOfFirstRecord": arrived,
            "approximateArrivalOfLastRecord": arrived,
            "batchSize": 1,
            "streamArn": self.stream,
        }
        context = {"functionArn": arn, "condition": REFUSED, "reason": outcome.reason}
        if ":dynamodb:" in self.stream:  # no shard is named; so the change itself is kept
            change = {"Records": [json.loads(self.events[0].body)]}
            kept = {"requestContext": context, "DDBStreamBatchInfo": batch_info, "payload": change}
            text = json.dumps(kept, ensure_ascii=False)
            if len(text.encode()) < dead_letters.MAX_BYTES:
                return text
            return json.dumps(kept | {"payload": None})
        return json.dumps({"requestContext": context, "KinesisBatchInfo": batch_info})


def handler(parse: Callable[[Message], T], write: Write[T]) -> Handler:
    """Return the handler of a Kinesis stream.

    Args:
        parse: Returns what an event says, or raises ``RefusedError``.
        write: Processes the parsed events, in the order of the shard; returns the outcome of each,
            by message id. An error of AWS that it raises fails all of them.
    """

    @logger.inject_lambda_context
    def handle(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        records = [Record.of(record) for record in event["Records"]]
        events = [message for record in records for message in record.events]
        outcomes = batch.hold_back(events, batch.process(events, parse, write))
        outcomes |= _refused_behind_a_failure(records, outcomes)
        outcomes |= _record_refused(records, outcomes, context.invoked_function_arn)
        outcomes = batch.hold_back(events, outcomes)
        batch.log_summary(outcomes)
        return _answer(event, records, outcomes)

    return handle


def _refused_behind_a_failure(
    records: Sequence[Record], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Let what is refused from the first failure on wait, or it would be named again."""
    come_again = dropwhile(
        lambda record: all(outcomes[event.id].kind != "failed" for event in record.events), records
    )
    return {
        event.id: BEHIND_A_FAILURE
        for record in come_again
        for event in record.events
        if outcomes[event.id].kind == "refused"
    }


def _record_refused(
    records: Sequence[Record], outcomes: Mapping[str, Outcome], arn: str
) -> dict[str, Outcome]:
    """Name the refused events in the failure queue; those that it did not take have failed."""
    letters = [
        (replace(message, body=record.failure(outcomes[message.id], arn)), outcomes[message.id])
        for record in records
        for message in record.events
        if outcomes[message.id].kind == "refused"
    ]
    failed = dead_letters.send((replace(m, group_id=None), outcome) for m, outcome in letters)
    for message, outcome in letters:
        if message.id not in failed:
            why = {"reason": outcome.reason, "detail": outcome.detail}
            logger.warning("Refused", extra={"record": message.id, **why})
    return {message_id: Outcome.failed(code) for message_id, code in failed.items()}


def _answer(
    event: dict[str, Any],
    records: Sequence[Record],
    outcomes: Mapping[str, Outcome],
) -> PartialItemFailureResponse:
    """Return where Lambda goes on; raise if that is the first record."""
    failed = {
        record.number: outcomes[message.id].reason
        for record in records
        for message in record.events
        if outcomes[message.id].kind == "failed"
    }
    if records[0].number in failed:
        raise batch.NotDoneError(failed[records[0].number])

    of_table = "dynamodb" in event["Records"][0]

    def report(record: Any) -> None:
        said = record.dynamodb if of_table else record.kinesis
        if said.sequence_number in failed:
            raise batch.NotDoneError

    return process_partial_response(
        event=event,
        processor=BatchProcessor(
            EventType.DynamoDBStreams if of_table else EventType.KinesisDataStreams,
            raise_on_entire_batch_failure=False,
        ),
        record_handler=report,
    )
