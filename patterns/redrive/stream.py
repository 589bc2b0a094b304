"""Run the records of a stream that a function gave up again, and delete what named them.

A failure record names a range of the stream and not the events (in a bucket it has them, too): each
range is fetched back, while the stream still keeps it, and handed to the function as it was. A
record is deleted only when the function has processed every event of its range; a run that is
stopped repeats events and loses none, so the function must be idempotent. A range may have events
that were processed already, of other keys. Uses the AWS credentials and the Region of your shell.

    python -m serverless_patterns.patterns.redrive.stream \
        --function FUNCTION --queue-url URL --dry-run
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("The redrive needs boto3: install serverless-patterns with its extra 'sandbox'.")

from serverless_patterns.lambdas.foundation import aws
from serverless_patterns.terminal import visible

from ..limits import LAMBDA_PAYLOAD_BYTES
from . import changes
from .changes import GoneError
from .sources import Bucket, Queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .sources import Letter

CALL_RECORDS = 100
# A record of a call beside its data in base64.
RECORD_BYTES = 1_000
GONE = "gone from the stream: LOST, unless its sender sends it again"


@dataclass
class StreamReport:
    """What became of the failure records, and of the records of the stream that they name."""

    found: int = 0  # failure records looked at
    run_again: int = 0  # failure records whose range was processed; deleted
    records: int = 0  # records of the stream that were fetched
    oldest: float | None = None  # when the oldest of these arrived, in seconds since 1970
    kept: Counter[str] = field(default_factory=Counter)  # failure records, by why they stay
    reasons: Counter[str] = field(default_factory=Counter)  # why their ranges were given up

    def lines(self) -> list[str]:
        """Return the report as text."""
        lines = [f"{self.found:>12,}  failure records, {self.run_again:,} run again and deleted"]
        at = self.oldest and datetime.fromtimestamp(self.oldest, UTC)
        since = f", the oldest of {at:%Y-%m-%d %H:%M} UTC" if at else ""
        lines += [f"{self.records:>12,}  records fetched from the stream{since}"]
        lines += [f"{n:>12,}  given up: {reason}" for reason, n in self.reasons.most_common()]
        return lines + [f"{n:>12,}  kept: {why}" for why, n in self.kept.most_common()]


@dataclass
class Replay:
    """One run.

    Args:
        lambda_: Client that runs the function.
        kinesis: Client that fetches records.
        function: Name or ARN of the function, with its alias if it has one.
        dry_run: Only look. Default: no.
        of_tables: Client that fetches changes from the streams of tables. Default: none.
    """

    lambda_: Any
    kinesis: Any
    function: str
    dry_run: bool = False
    of_tables: Any = None

    def __post_init__(self) -> None:
        self.report, self._started = StreamReport(), time.time()

    def run(self, sources: Iterable[Queue | Bucket]) -> StreamReport:
        """Empty one source after the other, the oldest range of a batch first."""
        for source in sources:
            try:
                for letters in source.batches():
                    for letter in sorted(letters, key=_place):
                        if self._again(letter) and not self.dry_run:
                            source.delete([letter.id])
            finally:
                source.release()
        return self.report

    def _again(self, letter: Letter) -> bool:
        """Run the range that a failure record names; return whether all of it was processed."""
        self.report.found += 1
        why = ""
        try:
            if letter.sent_at > self._started:
                why = "newer than this run"
            else:
                self._run(json.loads(letter.body))
        except GoneError:
            why = GONE
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            why = letter.problem or "no failure record of a stream"
        except (ClientError, BotoCoreError) as error:
            why = aws.code(error)
        except RuntimeError as error:
            why = str(error)
        if why:
            self.report.kept[why] += 1
        elif not self.dry_run:
            self.report.run_again += 1
        return not why

    def _run(self, failure: Mapping[str, Any]) -> None:
        context = failure["requestContext"]
        records = self._events(failure)
        self.report.reasons[context.get("reason") or context["condition"]] += 1
        self.report.records += len(records)
        times = [self.report.oldest, *map(_arrived, records)]
        self.report.oldest = min(filter(None, times), default=None)
        size = LAMBDA_PAYLOAD_BYTES
        for some in aws.batches(records, most=CALL_RECORDS, largest=size, size=_size):
            if not self.dry_run:
                self._invoke(some)

    def _events(self, failure: Mapping[str, Any]) -> list[Any]:
        """Return the records of a range as Lambda delivers them: from a bucket, or fetched."""
        if payload := failure.get("payload"):
            events = json.loads(payload) if isinstance(payload, str) else payload
            return list(events["Records"])
        if named := failure.get("DDBStreamBatchInfo"):
            return [*changes.fetch(self.of_tables, named)]
        return [*fetch(self.kinesis, failure["KinesisBatchInfo"])]

    def _invoke(self, records: Sequence[Any]) -> None:
        answer = self.lambda_.invoke(
            FunctionName=self.function, Payload=json.dumps({"Records": records})
        )
        said = json.load(answer["Payload"])
        if answer.get("FunctionError"):
            raise RuntimeError(f"failed again: {said.get('errorType', 'Error')}")
        if said and said.get("batchItemFailures"):
            raise RuntimeError("failed again in part")


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
                yield _as_delivered(record, shard, arn)
            first = False
        iterator = answer.get("NextShardIterator")
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            break
    if first:
        raise GoneError


def _as_delivered(record: Mapping[str, Any], shard: str, arn: str) -> dict[str, Any]:
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


def _size(record: Mapping[str, Any]) -> int:
    said = record["kinesis"]["data"] if "kinesis" in record else json.dumps(record["dynamodb"])
    return len(said) + RECORD_BYTES


def _arrived(record: Mapping[str, Any]) -> float:
    """Return when a record arrived, in seconds since 1970; 0 if it does not say so."""
    kinesis, change = record.get("kinesis", {}), record.get("dynamodb", {})
    name = "ApproximateCreationDateTime"
    return float(kinesis.get("approximateArrivalTimestamp") or change.get(name) or 0)


def _place(letter: Letter) -> tuple[str, int]:
    """Return the shard and the start of a range, so that a key's ranges run in their order."""
    try:
        failure = json.loads(letter.body)
        named = failure.get("DDBStreamBatchInfo") or failure["KinesisBatchInfo"]
        return named["shardId"], int(named["startSequenceNumber"])
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return "", 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when every range was processed."""
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.patterns.redrive.stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--function", required=True, help="name or ARN, with its alias if any")
    parser.add_argument("--queue-url", action="append", default=[], help="failure queue; several")
    parser.add_argument("--bucket", help="failure bucket")
    parser.add_argument("--prefix", default="aws/lambda/", help="keys in it (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="only look, run nothing")
    given = parser.parse_args(arguments)
    if not given.queue_url and not given.bucket:
        parser.error("give --queue-url or --bucket, or both")
    region = os.environ.get("AWS_REGION")  # which boto3 does not read
    try:
        sqs, s3 = boto3.client("sqs", region_name=region), boto3.client("s3", region_name=region)
        lambda_ = boto3.client("lambda", region_name=region)
        kinesis = boto3.client("kinesis", region_name=region)
        sources: list[Queue | Bucket] = [Queue(sqs, url) for url in given.queue_url]
        sources += [Bucket(s3, given.bucket, given.prefix)] if given.bucket else []
        of_tables = boto3.client("dynamodbstreams", region_name=region)
        run = Replay(lambda_, kinesis, given.function, given.dry_run, of_tables)
        run.run(sources)
    except (BotoCoreError, ClientError) as error:
        print(visible(f"{error} What was not run is still there."))
        return 1
    dry = ["Dry run: nothing was changed."] if given.dry_run else []
    print(visible("\n".join([*dry, *run.report.lines()])))
    return 1 if run.report.kept else 0


if __name__ == "__main__":
    sys.exit(main())
