"""The shim for records that a transform fails."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from .helpers import create_stack, function, role

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
            "Transform": function(TRANSFORM),
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
