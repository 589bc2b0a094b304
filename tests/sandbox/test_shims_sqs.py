"""Each shim has its gap without it (if not: upstream closed it, remove the shim) and closes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation.large_messages import LargeMessages
from serverless_patterns.sandbox import queues
from tests.lambdas.large import extended_sessions

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target


def sources(target: Target) -> tuple[list[str], str]:
    """Return the queues that a dead-letter queue serves, and the one that it does serve."""
    sqs: Any = target.client("sqs")
    dead = sqs.create_queue(QueueName="serving")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    given = {"RedrivePolicy": json.dumps(policy)}
    served = sqs.create_queue(QueueName="served", Attributes=given)["QueueUrl"]
    sqs.create_queue(QueueName="other")
    return sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], served


def test_the_queues_that_a_dead_letter_queue_serves_are_named(
    shared: Target, without_shims: Target
) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        sources(without_shims)  # else upstream answers: remove the shim

    found, served = sources(shared)
    assert found == [served]


def handle(target: Target) -> str:
    """Receive a message, delete it, and return its receipt handle."""
    sqs: Any = target.client("sqs")
    url = sqs.create_queue(QueueName="handles")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[queues.IN_FLIGHT])
    assert counted["Attributes"] == {queues.IN_FLIGHT: "0"}
    return str(message["ReceiptHandle"])


def test_a_receipt_handle_has_no_hyphen(shared: Target, without_shims: Target) -> None:
    assert "-" in handle(without_shims), "upstream names them as AWS does: remove the shim"
    assert "-" not in handle(shared)


def test_the_extended_client_of_sqs_sends_receives_and_deletes(shared: Target) -> None:
    s3, sqs = shared.client("s3"), shared.client("sqs")
    s3.create_bucket(Bucket="extended-peer")
    url = sqs.create_queue(QueueName="extended-peer")["QueueUrl"]
    session: Any = extended_sessions()["sqs"](
        shared.keys.access_key, shared.keys.secret_key, region_name=shared.region
    )
    certificate = str(shared.certificate)
    theirs = session.client("sqs", endpoint_url=shared.endpoint_url, verify=certificate)
    theirs.large_payload_support, theirs.s3_client = "extended-peer", s3
    theirs.always_through_s3 = theirs.delete_payload_from_s3 = True
    ours = LargeMessages(url, bucket="extended-peer", threshold=0, session=shared)
    ours.send("ours é")
    (message,) = theirs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "ours é"
    theirs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    theirs.send_message(QueueUrl=url, MessageBody="theirs é")
    (received,) = ours.receive(wait_seconds=1)
    assert received.read().decode() == "theirs é"
    received.delete()
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[queues.WAITING])
    assert counted["Attributes"] == {queues.WAITING: "0"}
    assert s3.list_objects_v2(Bucket="extended-peer")["KeyCount"] == 0
