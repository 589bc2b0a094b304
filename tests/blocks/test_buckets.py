"""What a bucket of yours must not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CfnParameter
from aws_cdk import aws_s3 as s3

from serverless_patterns.patterns.blocks.buckets import check_no_versions
from serverless_patterns.patterns.claim_check.construct import Payloads
from tests.claim_check.builds import make
from tests.inline import properties, rejected

if TYPE_CHECKING:
    from aws_cdk import Stack


def test_a_bucket_that_keeps_what_is_deleted_is_rejected_for_bodies(stack: Stack) -> None:
    with rejected("Stack/Kept has versions, so S3 would hide each body that is deleted"):
        make(stack, payloads=Payloads(bucket=s3.Bucket(stack, "Kept", versioned=True)))
    check_no_versions(s3.Bucket(stack, "Gone"))
    check_no_versions(s3.Bucket.from_bucket_name(stack, "Theirs", "theirs"))


def test_two_imports_of_a_bucket_are_one_bucket(stack: Stack) -> None:
    one, other = (s3.Bucket.from_bucket_name(stack, id_, "theirs") for id_ in ("One", "Other"))
    make(stack, "Claims", payloads=Payloads(bucket=one, prefix="a/"))
    make(stack, "Apart", payloads=Payloads(bucket=other, prefix="b/"))
    with rejected("each deletes what is in its own"):
        make(stack, "Within", payloads=Payloads(bucket=other, prefix="a/b/"))


def test_a_folder_that_only_deployment_knows_is_taken(stack: Stack) -> None:
    prefix = CfnParameter(stack, "Given").value_as_string
    make(stack, payloads=Payloads(prefix=prefix))
    [bucket] = properties(stack, "S3::Bucket")
    assert {"Ref": "Given"} in [
        one.get("Prefix") for one in bucket["LifecycleConfiguration"]["Rules"]
    ]
