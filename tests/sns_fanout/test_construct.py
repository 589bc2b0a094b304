"""The promises of the construct beyond those of every topic, queue, consumer and alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Size, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from serverless_patterns.patterns.sns_fanout.construct import (
    Lake,
    NewBucket,
    NewTopic,
    SnsFanout,
    Subscription,
)
from tests.inline import function, granted, properties, rejected, text, warned
from tests.sns_fanout.builds import URL

if TYPE_CHECKING:
    from collections.abc import Callable

MEBIBYTE = NewTopic(max_message_size=Size.mebibytes(1))
RAW = Subscription(raw_message_delivery=True)
KEYS = Lake(partition_keys=["country"])
MASK = {
    "Name": "mask",
    "Version": "2021-06-01",
    "Statement": [
        {
            "DataDirection": "Inbound",
            "Principal": ["*"],
            "DataIdentifier": ["arn:aws:dataprotection::aws:data-identifier/EmailAddress"],
            "Operation": {"Deidentify": {"MaskConfig": {"MaskWithCharacter": "#"}}},
        }
    ],
}
AUDITS: dict[str, Any] = {"Statement": [{"Operation": {"Audit": {}}}, {"Operation": {"Audit": {}}}]}


def whole(stack: Stack, **given: Any) -> SnsFanout:
    fanout = SnsFanout(stack, "Fanout", **given)
    fanout.add_function("Function", function=function(stack))
    fanout.add_archive("Archive")
    return fanout


def of(stack: Stack, protocol: str) -> dict[str, Any]:
    """The subscription of this protocol."""
    every = properties(stack, "SNS::Subscription")
    (found,) = [one for one in every if one["Protocol"] == protocol]
    return found


def test_a_fifo_topic_is_rejected() -> None:
    stack = Stack(App(), "Stack")
    topic = sns.Topic(stack, "Own", fifo=True, topic_name="own.fifo")
    with pytest.raises(ValueError, match=r"Stack/Own is a FIFO topic.*SnsFifoFanout"):
        SnsFanout(stack, "Fanout", topic=topic)


def test_messages_are_signed_with_sha_256(stack: Stack) -> None:
    SnsFanout(stack, "Fanout")
    (topic,) = properties(stack, "SNS::Topic")
    assert topic["SignatureVersion"] == "2"


@pytest.mark.parametrize("keyed", [False, True], ids=["", "keyed"])
def test_each_subscriber_has_a_dead_letter_queue_of_its_own_that_its_topic_alone_may_fill(
    stack: Stack, keyed: bool
) -> None:
    key = kms.Key(stack, "Key") if keyed else None
    fanout = whole(stack, topic=NewTopic(encryption_key=key))
    fanout.add_endpoint("Endpoint", url=URL)
    kept = {
        str(one["RedrivePolicy"]["deadLetterTargetArn"])
        for one in properties(stack, "SNS::Subscription")
    }
    assert len(kept) == len(fanout.subscribers) == 3
    if key:
        arn = stack.resolve(key.key_arn)
        for queue in properties(stack, "SQS::Queue"):
            assert queue["KmsMasterKeyId"] == arn
        (stream,) = properties(stack, "KinesisFirehose::DeliveryStream")
        assert stream["DeliveryStreamEncryptionConfigurationInput"]["KeyARN"] == arn


def test_a_function_is_invoked_by_its_topic_alone_and_what_it_fails_is_kept(stack: Stack) -> None:
    fanout = whole(stack)
    one: Any = fanout.subscribers[0]
    (permission,) = properties(stack, "Lambda::Permission")
    assert permission["Principal"] == "sns.amazonaws.com"
    assert permission["SourceArn"] == stack.resolve(fanout.topic.topic_arn)
    (config,) = properties(stack, "Lambda::EventInvokeConfig")
    kept = config["DestinationConfig"]["OnFailure"]["Destination"]
    assert kept == stack.resolve(one.failure_queue.queue_arn)
    assert "RawMessageDelivery" not in of(stack, "lambda")


def test_an_archive_gets_raw_events_by_a_role_that_may_put_records_and_no_more(
    stack: Stack,
) -> None:
    whole(stack)
    found = of(stack, "firehose")
    assert found["RawMessageDelivery"] is True
    role = text(found["SubscriptionRoleArn"]).strip("<>")
    allowed = granted(Template.from_stack(stack), role)
    assert {action for action, _ in allowed} == {
        "firehose:DescribeDeliveryStream",
        "firehose:ListTagsForDeliveryStream",
        "firehose:PutRecord",
        "firehose:PutRecordBatch",
    }
    assert len({on for _, on in allowed}) == 1


def test_an_archive_can_keep_what_sns_says_of_an_event_and_use_your_bucket(stack: Stack) -> None:
    bucket = s3.Bucket(stack, "Own", encryption_key=kms.Key(stack, "Key"))
    wrapped = Subscription(raw_message_delivery=False)
    archive = SnsFanout(stack, "Fanout").add_archive("A", bucket=bucket, subscription=wrapped)
    assert of(stack, "firehose")["RawMessageDelivery"] is False
    assert archive.bucket is bucket


def test_a_topic_takes_large_messages_for_queues_functions_and_archives(stack: Stack) -> None:
    whole(stack, topic=NewTopic(max_message_size=Size.kibibytes(1000)))
    (topic,) = properties(stack, "SNS::Topic")
    assert topic["MaximumMessageSize"] == 1_024_000


def test_personal_data_is_masked_where_the_account_still_may(stack: Stack) -> None:
    SnsFanout(stack, "Fanout", topic=NewTopic(data_protection_policy=MASK))
    (topic,) = properties(stack, "SNS::Topic")
    assert topic["DataProtectionPolicy"] == MASK
    warned(stack, "only from accounts that had one", "/Stack/Fanout/Topic")


@pytest.mark.parametrize(
    ("add", "problem"),
    [
        (lambda it, _: it.add_endpoint("E", url=URL), "which SNS does not deliver by https"),
        (lambda it, _: it.add_archive("A"), "but Firehose records of 1,024,000 bytes at most"),
        (
            lambda it, stack: it.add_function("F", function=function(stack), subscription=RAW),
            "asks for raw delivery, which SNS does not have for the protocol lambda",
        ),
        (lambda it, _: it.add_archive("A", lake=KEYS), "an archive stores events as they come"),
        (lambda it, _: it.add_archive("A", lake="data/"), "lake is 'data/'; it must be of type"),
        (lambda it, _: it.add_function("F", function="arn:x"), "function is 'arn:x'; it must be"),
        (lambda it, _: it.add_endpoint("", url=URL), "construct_id is '', which is empty"),
        (
            lambda it, stack: it.add_function(
                "F", function=function(stack, reserved_concurrent_executions=0)
            ),
            "no event would be processed",
        ),
    ],
)
def test_what_would_fail_or_lose_events_is_rejected(
    stack: Stack, add: Callable[[SnsFanout, Stack], object], problem: str
) -> None:
    with rejected(problem):
        add(SnsFanout(stack, "Fanout", topic=MEBIBYTE), stack)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"max_message_size": Size.kibibytes(1025)}, "it must be whole KiB, 1,024 to 1,048,576"),
        ({"max_message_size": 1024}, "max_message_size is 1024; it must be of type Size"),
        ({"data_protection_policy": {}}, "data_protection_policy has no Statement"),
        ({"data_protection_policy": AUDITS}, "several statements that audit"),
        ({"data_protection_policy": MASK | {"Description": "x" * 30_720}}, "SNS accepts 30,720"),
    ],
)
def test_a_topic_that_sns_would_reject_is_rejected(given: dict[str, Any], problem: str) -> None:
    with rejected(problem):
        NewTopic(**given)


def test_an_endpoint_and_an_id_are_taken_once(stack: Stack) -> None:
    fanout = SnsFanout(stack, "Fanout")
    fanout.add_endpoint("One", url=URL)
    with rejected("already delivers to this endpoint"):
        fanout.add_endpoint("Two", url=URL)
    with rejected("construct_id is 'One', which Stack/Fanout has already"):
        fanout.add_archive("One")


def test_more_filters_than_the_quota_are_warned_of(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serverless_patterns.patterns.checks.sns.SNS_FILTERS", 0)
    chosen = sns.SubscriptionFilter.string_filter(allowlist=["express"])
    fanout = SnsFanout(stack, "Fanout")
    fanout.add_endpoint("E", url=URL, subscription=Subscription(filter_policy={"of": chosen}))
    warned(stack, "has 1 filter policies", "/Stack/Fanout/Topic")


def test_the_archive_of_a_topic_with_a_key_is_encrypted_with_it_or_with_its_own(
    stack: Stack,
) -> None:
    keys = [kms.Key(stack, name) for name in ("Topics", "Buckets")]
    fanout = SnsFanout(stack, "Fanout", topic=NewTopic(encryption_key=keys[0]))
    fanout.add_archive("A")
    fanout.add_archive("B", bucket=NewBucket(encryption_key=keys[1]))
    found = [one["BucketEncryption"] for one in properties(stack, "S3::Bucket")]
    for key, encryption in zip(keys, found, strict=True):
        assert str(stack.resolve(key.key_arn)) in str(encryption)
