"""Streams and buckets keep their records, and tell what an imported one needs to keep them."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.blocks.buckets import NewBucket, bucket_of
from serverless_patterns.patterns.blocks.streams import NewStream, stream_of

STREAM_ARN = "arn:aws:kinesis:us-east-1:111111111111:stream/theirs"


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def stream(stack: Stack, given: kinesis.IStream | NewStream, seconds: int = 1200) -> Any:
    return stream_of(stack, "Stream", given, Duration.seconds(seconds))


def bucket(stack: Stack, given: s3.IBucket | NewBucket) -> Any:
    return bucket_of(stack, "Bucket", given, expires="source/", warning="watch errors/ yourself")


def warns(stack: Stack, text: str) -> bool:
    found = Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp(text))
    return bool(found)


def made(new: NewStream | NewBucket) -> dict[str, dict[str, Any]]:
    """The resources of a stack with a new stream or bucket, by their type."""
    stack = Stack(App(), "Stack")
    if isinstance(new, NewStream):
        stream(stack, new)
    else:
        bucket(stack, new)
    resources = Template.from_stack(stack).to_json()["Resources"].values()
    return {resource["Type"]: resource for resource in resources}


def properties(new: NewStream | NewBucket, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = made(new)[f"AWS::{kind}"]["Properties"]
    return found


def test_the_stream_scales_by_itself_and_remembers_a_long_weekend() -> None:
    found = properties(NewStream(), "Kinesis::Stream")
    assert found["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert found["RetentionPeriodHours"] == 7 * 24


def test_shards_are_provisioned_on_request() -> None:
    new = NewStream(shard_count=3, retention_period=Duration.days(1))
    found = properties(new, "Kinesis::Stream")
    assert found["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert (found["ShardCount"], found["RetentionPeriodHours"]) == (3, 24)


def test_the_bucket_requires_a_recent_tls() -> None:
    policy = properties(NewBucket(), "S3::BucketPolicy")["PolicyDocument"]
    denied = [s["Condition"] for s in policy["Statement"] if s["Effect"] == "Deny"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_old_objects_become_cheaper_and_none_but_source_records_expire() -> None:
    rules = properties(NewBucket(), "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule] == ["source/"]
    assert {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 30} in [
        transition for rule in rules for transition in rule.get("Transitions", [])
    ]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_lifecycle_rules_of_your_own_replace_the_defaults() -> None:
    new = NewBucket(lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(9))])
    (rule,) = properties(new, "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 9


def test_everything_is_encrypted() -> None:
    stream_key = properties(NewStream(), "Kinesis::Stream")["StreamEncryption"]
    assert stream_key == {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    encryption = properties(NewBucket(), "S3::Bucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


@pytest.mark.parametrize(
    ("new", "kind"), [(NewStream, "Kinesis::Stream"), (NewBucket, "S3::Bucket")]
)
def test_what_is_new_outlives_the_stack_unless_it_is_told_otherwise(new: Any, kind: str) -> None:
    assert made(new())[f"AWS::{kind}"]["DeletionPolicy"] == "Retain"
    destroyed = made(new(removal_policy=RemovalPolicy.DESTROY))
    assert destroyed[f"AWS::{kind}"]["DeletionPolicy"] == "Delete"
    assert ("Custom::S3AutoDeleteObjects" in destroyed) is (new is NewBucket)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shard_count": 0}, "allowed is 1 or more"),
        ({"retention_period": Duration.hours(23)}, "24 hours to 365 days"),
        ({"retention_period": Duration.days(366)}, "24 hours to 365 days"),
        ({"retention_period": Duration.minutes(24 * 60 + 1)}, "whole hours"),
        ({"shard_count": 1, "retention_period": Duration.hours(24)}, None),
        ({"retention_period": Duration.days(365)}, None),
    ],
)
def test_a_stream_that_kinesis_would_reject_is_rejected(
    settings: dict[str, Any], message: str | None
) -> None:
    if message is None:
        assert NewStream(**settings)
        return
    with pytest.raises(ValueError, match=message):
        NewStream(**settings)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("seconds", "accepted"), [(86_399, True), (86_400, False)])
def test_an_alarm_on_records_that_are_gone_by_then_is_rejected(
    stack: Stack, own: bool, seconds: int, accepted: bool
) -> None:
    new = NewStream(retention_period=Duration.days(1))
    given = kinesis.Stream(stack, "Own") if own else new
    if accepted:
        assert stream(stack, given, seconds)
        return
    with pytest.raises(ValueError, match=r"max_age is 86400 s.*for 86400 s"):
        stream(stack, given, seconds)


@pytest.mark.parametrize("new", [NewStream, NewBucket])
def test_a_new_stream_or_bucket_with_a_disabled_key_is_rejected(stack: Stack, new: Any) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        new(encryption_key=key)


def test_a_stream_or_bucket_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    key, kind = kms.Key(stack, "Key", enabled=False), kinesis.StreamEncryption.KMS
    own = kinesis.Stream(stack, "Own", encryption=kind, encryption_key=key)
    with pytest.raises(ValueError, match="key of Stack/Own is Stack/Key, which is disabled"):
        stream(stack, own)
    with pytest.raises(ValueError, match="key of Stack/Lake is Stack/Key, which is disabled"):
        bucket(stack, s3.Bucket(stack, "Lake", encryption_key=key))


def test_an_imported_stream_is_told_how_long_it_must_keep_records(stack: Stack) -> None:
    stream(stack, kinesis.Stream.from_stream_arn(stack, "Theirs", STREAM_ARN))
    assert warns(stack, "longer than max_age, 1200 s.*from_stream_attributes")


def test_an_imported_bucket_is_asked_for_its_key(stack: Stack) -> None:
    bucket(stack, s3.Bucket.from_bucket_name(stack, "Theirs", "lake"))
    assert warns(stack, "watch errors/ yourself.*customer managed key.*from_bucket_attributes")


def test_what_is_imported_with_its_key_is_not_asked_for_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    stream(
        stack,
        kinesis.Stream.from_stream_attributes(
            stack, "TheirStream", stream_arn=STREAM_ARN, encryption_key=key
        ),
    )
    bucket(
        stack,
        s3.Bucket.from_bucket_attributes(
            stack, "TheirBucket", bucket_name="lake", encryption_key=key
        ),
    )
    assert warns(stack, "bucket is imported")
    assert warns(stack, "stream is imported")
    assert not warns(stack, "customer managed key")
