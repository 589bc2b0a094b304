"""Large messages on moto: a bucket for their bodies, a queue as Lambda polls it, what is left."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from moto.sqs.models import sqs_backends

from serverless_patterns.lambdas.foundation.large_messages import LargeMessages
from serverless_patterns.lambdas.foundation.pointers import KIND, Pointer
from tests import moto_cloud
from tests.moto_cloud import REGION, TABLE, client, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

BUCKET, PREFIX = "bodies", "catalogs/"


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, *, fifo: bool = False) -> Iterator[Cloud]:
    """An account with a bucket for bodies, a table, and the queue ``QUEUE_URL``."""
    told = {"TABLE_NAME": TABLE, "BUCKET_NAME": BUCKET, "PREFIX": PREFIX, "KEPT_SECONDS": "86400"}
    with moto_cloud.cloud(monkeypatch, tables={TABLE: ("pk",)}, environment=told) as made:
        place: Any = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        attributes = {"FifoQueue": "true"} if fifo else {}
        name = "claims.fifo" if fifo else "claims"
        url = client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        monkeypatch.setenv("QUEUE_URL", url)
        yield made


def where() -> dict[str, Any]:
    """Return where bodies are, and the session whose calls the cloud sees."""
    return {"bucket": BUCKET, "prefix": PREFIX, "session": boto3.DEFAULT_SESSION}


def messages(**given: Any) -> LargeMessages:
    """Return the client of the queue."""
    return LargeMessages(os.environ["QUEUE_URL"], **where() | given)


def keys() -> list[str]:
    """Return the keys of the bodies that are there."""
    listed = client("s3").list_objects_v2(Bucket=BUCKET)
    return [one["Key"] for one in listed.get("Contents", ())]


def bodies() -> list[str]:
    """Return the bodies of the messages in the queue, hidden or not."""
    name = os.environ["QUEUE_URL"].rpartition("/")[2]
    return [str(one.body) for one in sqs_backends["123456789012"][REGION].queues[name]._messages]


def without_object() -> list[str]:
    """Return the messages whose body is not there."""
    there = {Pointer(BUCKET, key, 1).body for key in keys()}
    return [body for body in bodies() if KIND in body and body not in there]


def pointing(pointer: Pointer | str, size: int = 7) -> dict[str, Any]:
    """Return a message, as Lambda delivers it, that says it is a pointer."""
    made = pointer if isinstance(pointer, Pointer) else Pointer("", "", size)
    (name, told), *_ = made.attributes.items()
    given = {name: {"stringValue": told["StringValue"], "dataType": told["DataType"]}}
    return record(made.body if made is pointer else pointer, attributes=given)


def received() -> list[dict[str, Any]]:
    """Receive messages, as Lambda hands them to a consumer."""
    answer = client("sqs").receive_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MaxNumberOfMessages=10,
        VisibilityTimeout=0,
        MessageAttributeNames=["All"],
        AttributeNames=["All"],
    )
    found = []
    for one in answer.get("Messages", ()):
        attributes = {
            name: {"stringValue": it["StringValue"], "dataType": it["DataType"]}
            for name, it in one.get("MessageAttributes", {}).items()
        }
        made = record(one["Body"], one["Attributes"].get("MessageGroupId"), attributes=attributes)
        found.append(made | {"messageId": one["MessageId"], "receiptHandle": one["ReceiptHandle"]})
    return found


def deliver(cloud: Cloud, handler: Any) -> list[str]:
    """Deliver a batch, and delete what the consumer did not fail, as Lambda does."""
    batch, url = received(), os.environ["QUEUE_URL"]
    failed = cloud.run(handler, *batch) if batch else []
    for one in batch:
        if one["messageId"] not in failed:
            client("sqs").delete_message(QueueUrl=url, ReceiptHandle=one["receiptHandle"])
    return failed


def extended_sessions() -> dict[str, Any]:
    """Return the sessions of AWS's extended clients, which replace boto3's own one."""
    session, default = boto3.session.Session, boto3.DEFAULT_SESSION
    try:
        from sns_extended_client.session import SNSExtendedClientSession
        from sqs_extended_client.client import SQSExtendedClientSession
    finally:
        boto3.session.Session = boto3.Session = session  # type: ignore[misc]
        boto3.DEFAULT_SESSION = default
    return {"sqs": SQSExtendedClientSession, "sns": SNSExtendedClientSession}
