"""The promises of the redrive of a subscription: whom it delivers to, what it deletes and keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import boto3
import pytest

from serverless_patterns.redrive.run import Redrive, Report
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import ToSubscriber
from serverless_patterns.sandbox.http_endpoint import Endpoint, listening
from tests import moto_cloud
from tests.moto_cloud import client_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

cloud = moto_cloud.fixture(moto_cloud.cloud)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
ARN = f"{TOPIC}:one"
SIGNED = json.dumps({"Type": "Notification", "MessageId": "m-1", "Message": "{}", "Signature": "x"})
REDRIVES, ONCE = "Redrives", {"DataType": "Number", "StringValue": "1"}
KIND = {"DataType": "String", "StringValue": "express"}
ERROR = {"DataType": "String", "StringValue": "ServerError"}


class Calls:
    """A client of any service, which notes its calls, and fails the first few."""

    def __init__(self, *failures: Exception) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.failures = [*failures]

    def __getattr__(self, operation: str) -> Any:
        def call(**given: Any) -> dict[str, Any]:
            if self.failures:
                raise self.failures.pop(0)
            self.made.append((operation, given))
            return {}

        return call


class Given:
    """A subscription of some protocol with dead letters."""

    def __init__(self, cloud: Cloud) -> None:
        self.sqs: Any = boto3.client("sqs")
        self.url, self.calls, self.endpoint = cloud.queue_url, Calls(), "arn:aws:x:y:1:name"
        wanted: Any = {"QueueUrl": self.url, "AttributeNames": ["QueueArn"]}
        self.arn = self.sqs.get_queue_attributes(**wanted)["Attributes"]["QueueArn"]
        self.protocol = "lambda"

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_subscriptions_by_topic"
        said = {"Protocol": self.protocol, "Endpoint": self.endpoint}
        others = [{"SubscriptionArn": f"{ARN}-other", "Protocol": "email", "Endpoint": "-"}]
        page = {"Subscriptions": [*others, {"SubscriptionArn": ARN, **said}]}
        return Mock(paginate=lambda TopicArn: [page] if TopicArn == TOPIC else [])  # noqa: N803

    def fail(self, *bodies: str) -> None:
        attributes = {"service": KIND, "ErrorCode": ERROR}
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes)

    def run(self, *, dry_run: bool = False) -> Report:
        made: dict[str, Any] = {"sns": self, "sqs": self.sqs}
        way = ToSubscriber(lambda name: made.get(name, self.calls), ARN)
        return Redrive(way, 10_000, dry_run=dry_run).run([Queue(self.sqs, self.url)])

    @property
    def left(self) -> int:
        name = "ApproximateNumberOfMessages"
        wanted = {"QueueUrl": self.url, "AttributeNames": [name]}
        return int(self.sqs.get_queue_attributes(**wanted)["Attributes"][name])


@pytest.fixture
def there(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Given:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", moto_cloud.REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return Given(cloud)


@pytest.fixture
def endpoint(there: Given) -> Iterator[Endpoint]:
    with listening() as found:
        there.protocol, there.endpoint = "http", found.url
        yield found


@pytest.mark.parametrize("protocol", ["lambda", "firehose", "sqs"])
def test_a_subscriber_gets_what_sns_could_not_deliver_as_sns_would_have_sent_it(
    there: Given, protocol: str
) -> None:
    there.protocol = protocol
    if protocol == "sqs":
        other = there.sqs.create_queue(QueueName="subscribed")["QueueUrl"]
        there.endpoint = there.arn.rpartition(":")[0] + ":subscribed"
    there.fail(SIGNED)
    report = there.run()
    assert (report.found, report.accepted, report.good, there.left) == (1, 1, True, 0)
    if protocol == "sqs":
        wanted = {"QueueUrl": other, "MessageAttributeNames": ["All"]}
        [got] = there.sqs.receive_message(**wanted)["Messages"]
        assert (got["Body"], got["MessageAttributes"]) == (
            SIGNED,
            {"service": KIND, REDRIVES: ONCE},
        )
        return
    [(operation, given)] = there.calls.made
    if protocol == "firehose":
        assert (operation, given["Record"]) == ("put_record", {"Data": SIGNED.encode()})
        return
    assert (operation, given["InvocationType"]) == ("invoke", "Event")
    [record] = json.loads(given["Payload"])["Records"]
    assert record["Sns"] == json.loads(SIGNED)
    assert (record["EventSource"], record["EventSubscriptionArn"]) == ("aws:sns", ARN)


def test_an_endpoint_gets_the_signed_message_byte_for_byte(
    there: Given, endpoint: Endpoint
) -> None:
    there.fail(SIGNED)
    assert there.run().good
    assert (endpoint.taken, there.left) == ([SIGNED], 0)


def test_what_an_endpoint_does_not_take_is_kept(there: Given, endpoint: Endpoint) -> None:
    endpoint.status = 503
    there.fail(SIGNED, "raw")
    report = there.run()
    assert (report.accepted, report.kept, report.good) == (0, {"HTTP 503": 2}, False)
    assert there.left == 2
    endpoint.status = 302  # a redirect is no success, and is not followed
    assert there.run().kept == {"HTTP 302": 2}


def test_an_endpoint_that_is_gone_keeps_its_messages(there: Given) -> None:
    there.protocol, there.endpoint = "http", "http://127.0.0.1:1/"
    there.fail(SIGNED)
    assert "no answer" in str(there.run().kept)
    assert there.left == 1


def test_what_a_service_does_not_take_is_kept_and_the_rest_delivered(there: Given) -> None:
    there.calls.failures.append(client_error("TooManyRequestsException"))
    there.fail(SIGNED, SIGNED)
    report = there.run()
    assert (report.accepted, report.kept) == (1, {"TooManyRequestsException": 1})
    assert there.left == 1


def test_what_is_no_notification_is_not_handed_to_a_function(there: Given) -> None:
    there.fail("raw")
    assert there.run().kept == {"not a notification of SNS": 1}
    assert there.left == 1


def test_a_dry_run_changes_nothing(there: Given) -> None:
    there.fail(SIGNED)
    report = there.run(dry_run=True)
    assert (report.found, report.accepted, there.calls.made, there.left) == (1, 0, [], 1)


def test_a_subscription_whose_protocol_only_sns_speaks_is_told_so(there: Given) -> None:
    there.protocol = "email"
    with pytest.raises(ValueError, match="Nobody but SNS delivers by email"):
        there.run()
