"""The promises of the replay of a stream, on moto: what it fetches, runs, deletes and reports."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from serverless_patterns.redrive.run import Redrive, Report
from serverless_patterns.redrive.sources import Bucket, Queue
from serverless_patterns.redrive.ways import GONE, ToStreamFunction
from tests import moto_cloud
from tests.moto_cloud import client_error

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = moto_cloud.fixture(moto_cloud.cloud)


class Function:
    """A function that notes what it is run with, and answers or raises as it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.runs = list(answers), list[list[bytes]]()

    def invoke(self, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        records = json.loads(Payload)["Records"]
        self.runs.append([base64.b64decode(one["kinesis"]["data"]) for one in records])
        self.events = records
        answer = self.answers.pop(0) if self.answers else {"batchItemFailures": []}
        if isinstance(answer, Exception):
            raise answer
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


class Given:
    """A stream with ten records, a failure queue, and a bucket."""

    def __init__(self, url: str) -> None:
        self.kinesis: Any = boto3.client("kinesis")
        self.sqs: Any = boto3.client("sqs")
        self.s3: Any = boto3.client("s3")
        self.url = url
        self.kinesis.create_stream(StreamName="stream", ShardCount=1)
        put: Any = [{"Data": b"event %d" % n, "PartitionKey": "key"} for n in range(10)]
        answer = self.kinesis.put_records(StreamName="stream", Records=put)["Records"]
        self.numbers = [one["SequenceNumber"] for one in answer]
        about = self.kinesis.describe_stream(StreamName="stream")["StreamDescription"]
        self.arn, self.shard = about["StreamARN"], about["Shards"][0]["ShardId"]

    def failure(self, first: int, last: int, **more: Any) -> dict[str, Any]:
        named = {
            "streamArn": self.arn,
            "shardId": self.shard,
            "startSequenceNumber": self.numbers[first],
            "endSequenceNumber": self.numbers[last],
        }
        context = {"condition": "RetryAttemptsExhausted"}
        return {"requestContext": context, "KinesisBatchInfo": named} | more

    def fail(self, *failures: Any) -> None:
        for one in failures:
            body = one if isinstance(one, str) else json.dumps(one)
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def redrive(self, function: Any, *, dry_run: bool = False) -> Redrive:
        clients = {"lambda": function, "kinesis": self.kinesis}
        self.way = ToStreamFunction(clients.__getitem__, "stock")
        return Redrive(self.way, 10_000, dry_run=dry_run)

    def run(self, function: Any, *, dry_run: bool = False) -> Report:
        return self.redrive(function, dry_run=dry_run).run([Queue(self.sqs, self.url)])

    @property
    def left(self) -> int:
        wanted = {"QueueUrl": self.url, "AttributeNames": ["ApproximateNumberOfMessages"]}
        return int(
            self.sqs.get_queue_attributes(**wanted)["Attributes"][wanted["AttributeNames"][0]]
        )


@pytest.fixture
def there(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Given:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", moto_cloud.REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return Given(cloud.queue_url)


def test_a_range_is_fetched_back_run_as_it_was_and_its_record_deleted(there: Given) -> None:
    function = Function()
    there.fail(there.failure(3, 5))
    report = there.run(function)
    assert function.runs == [[b"event 3", b"event 4", b"event 5"]]
    [first, *_] = function.events
    assert first["eventID"] == f"{there.shard}:{there.numbers[3]}"
    assert (first["eventSourceARN"], first["kinesis"]["partitionKey"]) == (there.arn, "key")
    assert (report.found, report.accepted, there.way.records, there.left) == (1, 1, 3, 0)
    assert report.reasons == {"RetryAttemptsExhausted": 1}


def test_ranges_run_in_the_order_of_their_shard(there: Given) -> None:
    function = Function()
    there.fail(there.failure(7, 7), there.failure(2, 3))
    there.run(function)
    assert function.runs == [[b"event 2", b"event 3"], [b"event 7"]]


def test_a_dry_run_counts_what_is_still_there_and_changes_nothing(there: Given) -> None:
    function = Function()
    there.fail(there.failure(0, 9))
    report = there.run(function, dry_run=True)
    assert (there.way.records, report.accepted, there.left, function.runs) == (10, 0, 1, [])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"errorType": "NotDoneError"}, "failed again: NotDoneError"),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, "failed again in part"),
        (client_error("TooManyRequestsException"), "TooManyRequestsException"),
    ],
)
def test_what_fails_again_stays_and_says_why(answer: Any, why: str, there: Given) -> None:
    there.fail(there.failure(3, 5))
    report = there.run(Function(answer))
    assert (report.kept, report.accepted, there.left) == ({why: 1}, 0, 1)


def test_a_range_that_the_stream_no_longer_has_is_called_lost_and_stays(there: Given) -> None:
    gone = there.failure(0, 1)
    gone["KinesisBatchInfo"] |= {"startSequenceNumber": "0"}
    there.fail(gone)
    function = Function()
    report = there.run(function)
    assert (report.kept, function.runs, there.left) == ({GONE: 1}, [], 1)


def test_a_range_of_a_shard_that_has_expired_after_a_resharding_is_called_lost(
    there: Given,
) -> None:
    gone = there.failure(0, 1)
    gone["KinesisBatchInfo"] |= {"shardId": "shardId-000000000009"}
    there.fail(gone)
    assert (there.run(Function()).kept, there.left) == ({GONE: 1}, 1)


def test_a_range_that_a_reader_with_enhanced_fan_out_gave_up_is_fetched_from_its_stream(
    there: Given,
) -> None:
    failure = there.failure(3, 4)
    failure["KinesisBatchInfo"] |= {"streamArn": f"{there.arn}/consumer/fast:1790000000"}
    there.fail(failure)
    function = Function()
    assert there.run(function).accepted == 1
    assert function.runs == [[b"event 3", b"event 4"]]


def test_what_is_no_failure_record_stays(there: Given) -> None:
    there.fail("hello", {"requestContext": {}}, [1])
    report = there.run(Function())
    assert (report.kept, there.left) == ({"no failure record of a stream": 3}, 3)


def test_what_failed_after_the_run_had_started_is_left_for_the_next(there: Given) -> None:
    replay = there.redrive(Function())
    replay._started = time.time() - 60
    there.fail(there.failure(1, 1))
    assert replay.run([Queue(there.sqs, there.url)]).kept == {"newer than this run": 1}
    assert there.left == 1


@pytest.mark.parametrize("as_text", [True, False])
def test_a_bucket_has_the_events_so_the_stream_is_not_asked(as_text: bool, there: Given) -> None:
    there.s3.create_bucket(
        Bucket="failures", CreateBucketConfiguration={"LocationConstraint": moto_cloud.REGION}
    )
    record = {"kinesis": {"data": base64.b64encode(b"kept").decode(), "sequenceNumber": "1"}}
    payload: Any = {"Records": [record]}
    body = json.dumps(there.failure(0, 0, payload=json.dumps(payload) if as_text else payload))
    there.s3.put_object(Bucket="failures", Key="aws/lambda/mapping/one", Body=body)
    function = Function()
    replay = there.redrive(function)
    replay._started += 10  # S3 tells whole seconds
    assert replay.run([Bucket(there.s3, "failures", "aws/lambda/")]).accepted == 1
    assert function.runs == [[b"kept"]]
    assert "Contents" not in there.s3.list_objects_v2(Bucket="failures")
