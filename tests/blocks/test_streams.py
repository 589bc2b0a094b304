"""Streams and buckets keep their records, and tell what an imported one needs to keep them."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.buckets import NewBucket, bucket_of
from serverless_patterns.patterns.blocks.streams import NewStream, alarms_of_stream, stream_of
from tests.inline import rejected, warned

STREAM_ARN = "arn:aws:kinesis:us-east-1:111111111111:stream/theirs"


def make(stack: Stack, given: Any, seconds: int = 1200) -> Any:
    if isinstance(given, NewStream) or hasattr(given, "stream_arn"):
        return stream_of(stack, "Stream", given, Duration.seconds(seconds))
    return bucket_of(stack, "Bucket", given, expires="source/", warning="watch errors/ yourself")


def made(new: NewStream | NewBucket) -> dict[str, Any]:
    """The resources of a stack with a new stream or bucket, by their type."""
    stack = Stack(App(), "Stack")
    make(stack, new)
    resources = Template.from_stack(stack).to_json()["Resources"].values()
    return {resource["Type"]: resource for resource in resources}


def properties(new: NewStream | NewBucket, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = made(new)[f"AWS::{kind}"]["Properties"]
    return found


def test_the_stream_scales_by_itself_remembers_a_long_weekend_and_is_encrypted() -> None:
    found = properties(NewStream(), "Kinesis::Stream")
    assert found["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert found["RetentionPeriodHours"] == 7 * 24
    assert found["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}


def test_shards_are_provisioned_on_request() -> None:
    new = NewStream(shard_count=3, retention_period=Duration.days(1))
    found = properties(new, "Kinesis::Stream")
    assert found["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert (found["ShardCount"], found["RetentionPeriodHours"]) == (3, 24)


def test_the_bucket_requires_a_recent_tls() -> None:
    policy = properties(NewBucket(), "S3::BucketPolicy")["PolicyDocument"]
    denied = [s["Condition"] for s in policy["Statement"] if s["Effect"] == "Deny"]
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_old_objects_become_cheaper_and_none_but_source_records_expire() -> None:
    rules = properties(NewBucket(), "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule] == ["source/"]
    moved = [transition for rule in rules for transition in rule.get("Transitions", [])]
    assert moved == [{"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 30}]
    (aborted,) = filter(None, (rule.get("AbortIncompleteMultipartUpload") for rule in rules))
    assert aborted == {"DaysAfterInitiation": 7}


def test_lifecycle_rules_of_your_own_replace_the_defaults() -> None:
    new = NewBucket(lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(9))])
    (rule,) = properties(new, "S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 9


@pytest.mark.parametrize(
    ("new", "kind"), [(NewStream, "Kinesis::Stream"), (NewBucket, "S3::Bucket")]
)
def test_a_new_resource_outlives_the_stack_unless_it_is_told_otherwise(new: Any, kind: str) -> None:
    assert made(new())[f"AWS::{kind}"]["DeletionPolicy"] == "Retain"
    destroyed = made(new(removal_policy=RemovalPolicy.DESTROY))
    assert destroyed[f"AWS::{kind}"]["DeletionPolicy"] == "Delete"
    assert ("Custom::S3AutoDeleteObjects" in destroyed) is (new is NewBucket)


@pytest.mark.parametrize(
    ("shards", "minutes", "message"),
    [
        (0, 24 * 60, "it must be 1 or more"),
        (1, 23 * 60, "24 hours to 365 days"),
        (1, 366 * 24 * 60, "24 hours to 365 days"),
        (1, 24 * 60 + 1, "whole hours"),
        (1, 24 * 60, None),
        (None, 365 * 24 * 60, None),
    ],
)
def test_a_stream_that_kinesis_would_reject_is_rejected(
    shards: int | None, minutes: int, message: str | None
) -> None:
    with rejected(message):
        NewStream(shard_count=shards, retention_period=Duration.minutes(minutes))


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("seconds", "message"), [(86_399, None), (86_400, "max_age is 1 day.*for 1 day")]
)
def test_an_alarm_on_records_that_are_gone_by_then_is_rejected(
    stack: Stack, own: bool, seconds: int, message: str | None
) -> None:
    new = NewStream(retention_period=Duration.days(1))
    with rejected(message):
        make(stack, kinesis.Stream(stack, "Own") if own else new, seconds)


def test_a_stream_or_bucket_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    for new in (NewStream, NewBucket):
        with rejected("encryption_key is Stack/Key, which is disabled"):
            new(encryption_key=key)
    for own in (
        kinesis.Stream(stack, "Own", encryption_key=key),
        s3.Bucket(stack, "Lake", encryption_key=key),
    ):
        with rejected(f"key of {own.node.path} is Stack/Key, which is disabled"):
            make(stack, own)


def test_an_imported_resource_gets_a_warning_of_what_it_needs(stack: Stack) -> None:
    make(stack, kinesis.Stream.from_stream_arn(stack, "Stream", STREAM_ARN))
    warned(stack, "longer than max_age, 20 minutes.*from_stream_attributes", "*")
    make(stack, s3.Bucket.from_bucket_name(stack, "Bucket", "lake"))
    warned(stack, "watch errors/ yourself.*customer managed key.*from_bucket_attributes", "*")


def test_a_resource_imported_with_its_key_is_not_asked_for_it(stack: Stack) -> None:
    stream, bucket = kinesis.Stream.from_stream_attributes, s3.Bucket.from_bucket_attributes
    key = kms.Key(stack, "Key")
    make(stack, stream(stack, "Stream", stream_arn=STREAM_ARN, encryption_key=key))
    make(stack, bucket(stack, "Bucket", bucket_name="lake", encryption_key=key))
    warned(stack, "bucket is imported", "*")
    warned(stack, "stream is imported", "*")
    asked = Match.string_like_regexp("customer managed key")
    Annotations.from_stack(stack).has_no_warning("*", asked)


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        (NewStream, {"shard_count": "2"}, "shard_count is '2'; it must be of type int"),
        (NewStream, {"shard_count": 1.5}, "shard_count is 1.5"),
        (NewStream, {"retention_period": 24}, "retention_period is 24; .* Duration.seconds"),
        (NewStream, {"encryption_key": "alias/shop"}, "encryption_key is 'alias/shop'; .* IKey"),
        (NewBucket, {"encryption_key": "arn:aws:kms:"}, "encryption_key is .* IKey"),
        (NewBucket, {"lifecycle_rules": s3.LifecycleRule()}, "lifecycle_rules is a LifecycleRule"),
        (NewBucket, {"lifecycle_rules": [{}]}, "lifecycle_rules is {}; .* LifecycleRule"),
        (NewBucket, {"removal_policy": "destroy"}, "removal_policy is 'destroy'"),
        (NewBucket, {"removal_policy": RemovalPolicy.SNAPSHOT}, "SNAPSHOT, but .*Use RETAIN"),
        (NewStream, {"removal_policy": RemovalPolicy.SNAPSHOT}, "SNAPSHOT, but .*Use RETAIN"),
    ],
)
def test_settings_of_wrong_types_or_policies_are_rejected_by_their_names(
    kind: Any, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        kind(**settings)


@pytest.mark.parametrize("new", [NewStream, NewBucket])
@pytest.mark.parametrize("place", ["account", "region"])
def test_a_key_that_is_elsewhere_is_rejected(stack: Stack, new: Any, place: str) -> None:
    here = {"account": "111111111111", "region": "us-east-1"}
    there = here | {place: {"account": "222222222222", "region": "eu-west-1"}[place]}
    app: Any = App.of(stack)
    key = kms.Key(Stack(app, "There", env=Environment(**there)), "Key")
    with rejected("encryption_key .*(There/Key is in account 2|of the Region eu-west-1)"):
        make(Stack(app, "Here", env=Environment(**here)), new(encryption_key=key))


def test_a_retention_period_that_only_deployment_knows_is_given_in_hours(stack: Stack) -> None:
    later = CfnParameter(stack, "Later", type="Number").value_as_number
    make(stack, NewStream(retention_period=Duration.hours(later)))
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Kinesis::Stream", {"RetentionPeriodHours": {"Ref": "Later"}}
    )
    with rejected("retention_period is <token> days; .* with Duration.hours"):
        NewStream(retention_period=Duration.days(later))


def test_an_age_that_only_deployment_knows_is_rejected_for_a_stream(stack: Stack) -> None:
    later = Duration.seconds(CfnParameter(stack, "Later", type="Number").value_as_number)
    stream = kinesis.Stream(stack, "Own")
    with rejected("max_age is known at deployment only, but .* milliseconds"):
        alarms_of_stream(stack, stream, later, Alarms())
