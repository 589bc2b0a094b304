"""The shims for Firehose, S3 and SNS: the gap without each, and the right behavior with it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from serverless_patterns.sandbox import buckets, queues

from . import helpers as cfn

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

TRANSFORM = """
import base64
def handler(event, context):
    data = [base64.b64decode(record["data"]) for record in event["records"]]
    if b"crash" in data:
        raise RuntimeError("down")
    results = {b"good": "Ok", b"spam": "Dropped"}
    return {"records": [
        {"recordId": r["recordId"], "result": results.get(d, "ProcessingFailed"), "data": r["data"]}
        for r, d in zip(event["records"], data)]}
"""
PROCESSOR = {"ParameterName": "LambdaArn", "ParameterValue": cfn.arn("Transform")}
DESTINATION = {
    "BucketARN": cfn.arn("Bucket"),
    "RoleARN": cfn.arn("Role"),
    "Prefix": "data/!{timestamp:yyyy}/",
    "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
    "ProcessingConfiguration": {
        "Enabled": True,
        "Processors": [{"Type": "Lambda", "Parameters": [PROCESSOR]}],
    },
}
# A stream, and Firehose that sends it through the function into a bucket.
LAKE = cfn.template(
    {
        "Role": cfn.role("firehose.amazonaws.com"),
        "Stream": cfn.resource("Kinesis::Stream", ShardCount=1),
        "Bucket": cfn.resource("S3::Bucket"),
        "Transform": cfn.function(TRANSFORM),
        "Delivery": cfn.resource(
            "KinesisFirehose::DeliveryStream",
            DeliveryStreamType="KinesisStreamAsSource",
            KinesisStreamSourceConfiguration={
                "KinesisStreamARN": cfn.arn("Stream"),
                "RoleARN": cfn.arn("Role"),
            },
            ExtendedS3DestinationConfiguration=DESTINATION,
        ),
    },
    StreamName=cfn.ref("Stream"),
    BucketName=cfn.ref("Bucket"),
)


def delivered(target: Target) -> dict[str, list[bytes]]:
    """Put four records, and return what arrives, by the folder it arrives in."""
    stack = cfn.create_stack(target, "failed-records", LAKE)
    records = [{"Data": data, "PartitionKey": "k"} for data in (b"good", b"spam", b"bad", b"crash")]
    target.client("kinesis").put_records(StreamName=stack["StreamName"], Records=records)
    found: dict[str, list[bytes]] = {"data": [], "errors": []}
    for key, body in buckets.objects(stack, stack["BucketName"]):
        folder, kind, _ = key.split("/", 2)
        if folder == "errors":
            assert kind == "processing-failed"
            body = base64.b64decode(json.loads(body)["rawData"])
        found[folder].append(body)
    return {folder: sorted(bodies) for folder, bodies in found.items()}


def test_what_a_transform_fails_is_kept_as_it_came(shared: Target, without_shims: Target) -> None:
    gap = delivered(without_shims)
    assert gap == {"data": [b"crash", b"good"], "errors": []}, "upstream keeps it: remove the shim"

    assert delivered(shared) == {"data": [b"good"], "errors": [b"bad", b"crash"]}


def bucket_stack(seconds: int) -> dict[str, Any]:
    """A bucket that CDK's own function empties; it gives up after some seconds."""
    code = 'const { S3 } = require("@aws-sdk/client-s3");\nexports.handler = async () => {};'
    emptied = {
        "ServiceToken": cfn.arn("Empties"),
        "ServiceTimeout": seconds,
        "BucketName": cfn.ref("Bucket"),
    }
    resources = {
        "Bucket": cfn.resource("S3::Bucket"),
        "Empties": cfn.function(code, Runtime="nodejs24.x"),
        "Emptied": {"Type": "Custom::S3AutoDeleteObjects", "Properties": emptied},
    }
    return cfn.template(resources, BucketName=cfn.ref("Bucket"))


def test_a_bucket_that_empties_itself_is_deployed_and_deleted(
    shared: Target, without_shims: Target
) -> None:
    with pytest.raises(WaiterError, match=r"CREATE_FAILED|ROLLBACK"):
        # Else upstream runs it: remove the shim.
        cfn.create_stack(without_shims, "emptied", bucket_stack(1))

    bucket = cfn.create_stack(shared, "emptied", bucket_stack(60))["BucketName"]
    s3, cloudformation = shared.client("s3"), shared.client("cloudformation")
    s3.put_object(Bucket=bucket, Key="full/of.it", Body=b"1")
    cloudformation.delete_stack(StackName="emptied")
    deleted = cloudformation.get_waiter("stack_delete_complete")
    deleted.wait(StackName="emptied", WaiterConfig=cfn.OFTEN)
    assert bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]


def fifo_topic(target: Target, name: str, **topic: Any) -> Deployment:
    """A FIFO topic with a queue that subscribes to it."""
    resources = {
        "Topic": cfn.resource("SNS::Topic", TopicName=f"{name}.fifo", FifoTopic=True, **topic),
        "Queue": cfn.resource("SQS::Queue", QueueName=f"of-{name}.fifo", FifoQueue=True),
        "Admission": cfn.resource(
            "SQS::QueuePolicy",
            Queues=[cfn.ref("Queue")],
            PolicyDocument=cfn.document(cfn.delivery("Topic", "Queue")),
        ),
        "Subscription": cfn.subscription("Topic", "Queue"),
    }
    outputs = {"TopicArn": cfn.ref("Topic"), "QueueUrl": cfn.ref("Queue")}
    return cfn.create_stack(target, f"fifo-topic-{name}", cfn.template(resources, **outputs))


def attributes(stack: Deployment) -> dict[str, str]:
    answer = stack.client("sns").get_topic_attributes(TopicArn=stack["TopicArn"])
    found: dict[str, str] = answer["Attributes"]
    return found


def test_a_fifo_topic_of_a_template_is_one(without_shims: Target, shared: Target) -> None:
    gap = attributes(fifo_topic(without_shims, "explicit"))
    assert "FifoTopic" not in gap, "upstream makes FIFO topics now: remove the shim"
    stack = fifo_topic(shared, "explicit")
    found = attributes(stack)
    assert (found["FifoTopic"], found["ContentBasedDeduplication"]) == ("true", "false")

    sns = shared.client("sns")
    message = {"TopicArn": stack["TopicArn"], "Message": "one", "MessageGroupId": "a"}
    with pytest.raises(ClientError, match="MessageDeduplicationId"):
        sns.publish(**message)
    first, again = (sns.publish(**message, MessageDeduplicationId="1") for _ in range(2))
    assert first["SequenceNumber"] == again["SequenceNumber"]
    assert bodies(stack) == ["one"]


def test_a_fifo_topic_of_a_template_deduplicates_by_content(shared: Target) -> None:
    stack = fifo_topic(shared, "content", ContentBasedDeduplication=True)
    for body in ("one", "one", "two"):
        shared.client("sns").publish(TopicArn=stack["TopicArn"], Message=body, MessageGroupId=body)
    assert bodies(stack) == ["one", "two"]


def bodies(stack: Deployment) -> list[str]:
    return [message["Body"] for message in queues.take(stack, stack["QueueUrl"])]
