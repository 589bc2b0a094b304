"""The shim for buckets that CDK empties before their deletion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .helpers import create_stack, function

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target


def bucket_stack(seconds: int) -> dict[str, Any]:
    """A bucket that CDK's own function empties; it gives up after some seconds."""
    code = 'const { S3 } = require("@aws-sdk/client-s3");\nexports.handler = async () => {};'
    return {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Empties": function(code, Runtime="nodejs24.x"),
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
