"""S3: buckets that CDK empties before their deletion."""

from __future__ import annotations

from typing import Any

from ._forward import ministack, resources

GAPS = {
    "cdk-auto-delete-objects": "CDK's function that empties a bucket on deletion does not start."
}


def auto_delete_objects() -> None:
    """Forward the deletion of a bucket's objects to S3's own DeleteObject.

    That is all that CDK's function does. It is written for Node and needs the AWS SDK of Lambda's
    runtime; without it a deployment waits for the function for an hour.
    """
    s3 = ministack("services.s3")

    def create(logical_id: str, properties: dict[str, Any], _stack: str) -> Any:
        return f"{logical_id}-{properties['BucketName']}", {}

    def delete(_physical_id: str, properties: dict[str, Any]) -> None:
        bucket = s3._buckets.get(properties["BucketName"])
        for key in list(bucket["objects"]) if bucket else ():
            s3._delete_object(properties["BucketName"], key)

    resources()["Custom::S3AutoDeleteObjects"] = {
        "create": create,
        "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
        "delete": delete,
    }


SHIMS = {"cdk-auto-delete-objects": auto_delete_objects}
