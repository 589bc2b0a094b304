"""A queue as Lambda polls it, and what is left in the queue and in the bucket."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from moto.sqs.models import sqs_backends

from serverless_patterns.lambdas.claim_check import sweep
from serverless_patterns.lambdas.claim_check.wire import KIND, SIZE, Pointer
from serverless_patterns.patterns.claim_check.client import LargeMessages
from tests.claim_check.handlers import BUCKET, PREFIX
from tests.moto_cloud import REGION, Context, client, record

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud


def messages(**given: Any) -> LargeMessages:
    """Return the client, whose calls the cloud sees."""
    where = {"bucket": BUCKET, "prefix": PREFIX, "session": boto3.DEFAULT_SESSION}
    return LargeMessages(os.environ["QUEUE_URL"], **where | given)


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
    batch = received()
    failed = cloud.run(handler, *batch) if batch else []
    for one in batch:
        if one["messageId"] not in failed:
            client("sqs").delete_message(
                QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=one["receiptHandle"]
            )
    return failed


def swept(**event: int) -> int:
    """Run the sweep; return how many bodies it deleted."""
    context: Any = Context()
    return sweep.handler(event, context)["found"]


def pointing(body: str, size: int = 7) -> dict[str, Any]:
    """Return a message that says it is a pointer."""
    given = {"stringValue": str(size), "dataType": "Number"}
    return record(body, attributes={SIZE: given})


def pointer(bucket: str, key: str) -> str:
    return json.dumps([KIND, {"s3BucketName": bucket, "s3Key": key}])
