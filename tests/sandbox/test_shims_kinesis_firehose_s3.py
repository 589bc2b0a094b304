"""The shims for buckets that empty themselves and for what a transform fails."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from .helpers import create_stack, role

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

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


def stack(run: str) -> dict[str, Any]:
    """A stream, and Firehose that sends it through the function into a bucket."""
    firehose = {"Fn::GetAtt": ["Role", "Arn"]}
    processor = {
        "Type": "Lambda",
        "Parameters": [
            {"ParameterName": "LambdaArn", "ParameterValue": {"Fn::GetAtt": ["Transform", "Arn"]}}
        ],
    }
    return {
        "Resources": {
            "Role": role("firehose.amazonaws.com"),
            "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}},
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"lake-{run}"}},
            "Transform": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "python3.13",
                    "Handler": "index.handler",
                    "Role": "arn:aws:iam::000000000000:role/any",
                    "Code": {"ZipFile": TRANSFORM},
                },
            },
            "Delivery": {
                "Type": "AWS::KinesisFirehose::DeliveryStream",
                "Properties": {
                    "DeliveryStreamType": "KinesisStreamAsSource",
                    "KinesisStreamSourceConfiguration": {
                        "KinesisStreamARN": {"Fn::GetAtt": ["Stream", "Arn"]},
                        "RoleARN": firehose,
                    },
                    "ExtendedS3DestinationConfiguration": {
                        "BucketARN": {"Fn::GetAtt": ["Bucket", "Arn"]},
                        "RoleARN": firehose,
                        "Prefix": "data/!{timestamp:yyyy}/",
                        "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
                        "ProcessingConfiguration": {"Enabled": True, "Processors": [processor]},
                    },
                },
            },
        },
        "Outputs": {
            "StreamName": {"Value": {"Ref": "Stream"}},
            "BucketName": {"Value": {"Ref": "Bucket"}},
        },
    }


def delivered(target: Target, run: str) -> dict[str, list[bytes]]:
    """Put four records, and return what arrives, by the folder it arrives in."""
    outputs = create_stack(target, f"failed-records-{run}", stack(run))
    target.client("kinesis").put_records(
        StreamName=outputs["StreamName"],
        Records=[
            {"Data": data, "PartitionKey": "k"} for data in (b"good", b"spam", b"bad", b"crash")
        ],
    )
    s3 = target.client("s3")
    found: dict[str, list[bytes]] = {"data": [], "errors": []}
    for item in s3.list_objects_v2(Bucket=outputs["BucketName"]).get("Contents", []):
        folder, kind, _ = item["Key"].split("/", 2)
        body = s3.get_object(Bucket=outputs["BucketName"], Key=item["Key"])["Body"].read()
        if folder == "errors":
            assert kind == "processing-failed"
            body = base64.b64decode(json.loads(body)["rawData"])
        found[folder].append(body)
    return {folder: sorted(bodies) for folder, bodies in found.items()}


def test_what_a_transform_fails_is_kept_as_it_came(shared: Target, without_shims: Target) -> None:
    gap = delivered(without_shims, "plain")
    assert gap == {"data": [b"crash", b"good"], "errors": []}, "upstream keeps it: remove the shim"

    assert delivered(shared, "shimmed") == {"data": [b"good"], "errors": [b"bad", b"crash"]}


def bucket_stack(seconds: int) -> dict[str, Any]:
    """A bucket that CDK's own function empties; it gives up after some seconds."""
    code = 'const { S3 } = require("@aws-sdk/client-s3");\nexports.handler = async () => {};'
    return {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Empties": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "nodejs24.x",
                    "Handler": "index.handler",
                    "Role": "arn:aws:iam::000000000000:role/any",
                    "Code": {"ZipFile": code},
                },
            },
            "Emptied": {
                "Type": "Custom::S3AutoDeleteObjects",
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Empties", "Arn"]},
                    "ServiceTimeout": seconds,
                    "BucketName": {"Ref": "Bucket"},
                },
            },
        },
        "Outputs": {"BucketName": {"Value": {"Ref": "Bucket"}}},
    }


def test_a_bucket_that_empties_itself_is_deployed_and_deleted(
    shared: Target, without_shims: Target
) -> None:
    cloudformation = without_shims.client("cloudformation")
    cloudformation.create_stack(
        StackName="emptied", TemplateBody=json.dumps(bucket_stack(1)), DisableRollback=True
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    with pytest.raises(Exception, match="CREATE_FAILED"):  # else upstream runs it: remove the shim
        waiter.wait(StackName="emptied", WaiterConfig={"Delay": 0.2, "MaxAttempts": 50})

    bucket = create_stack(shared, "emptied", bucket_stack(60))["BucketName"]
    s3, cloudformation = shared.client("s3"), shared.client("cloudformation")
    s3.put_object(Bucket=bucket, Key="full/of.it", Body=b"1")
    cloudformation.delete_stack(StackName="emptied")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="emptied", WaiterConfig={"Delay": 0.2, "MaxAttempts": 50}
    )
    assert bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]
