"""What the constructs promise of their own: bodies outlive messages, and what would fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from serverless_patterns.patterns.claim_check.construct import (
    ClaimCheckFanout,
    Endpoint,
    NewApi,
    NewBucket,
    NewQueue,
    NewTopic,
    Payloads,
    Subscription,
)
from tests.claim_check.builds import make, make_fanout, make_subscriber, make_uploads
from tests.inline import function, properties, rejected, warned

DAYS = Duration.days


def rules(stack: Stack) -> list[dict[str, Any]]:
    (bucket,) = properties(stack, "S3::Bucket")
    found: list[dict[str, Any]] = bucket["LifecycleConfiguration"]["Rules"]
    return found


def test_bodies_expire_a_week_after_the_sweep_and_incomplete_uploads_after_a_day(
    stack: Stack,
) -> None:
    made = make(stack, payloads=Payloads(prefix="catalogs/"))
    assert rules(stack) == [
        {
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            "ExpirationInDays": 2 * (4 + 14) + 7,
            "Prefix": "catalogs/",
            "Status": "Enabled",
        }
    ]
    assert made.sweep_environment["KEPT_SECONDS"] == str(2 * (4 + 14) * 86_400)
    assert made.environment["PREFIX"] == "catalogs/"


def test_the_bodies_of_a_topic_outlive_its_retries_and_every_queue(stack: Stack) -> None:
    make_fanout(stack)
    assert rules(stack)[0]["ExpirationInDays"] == 2 * (23 + 4 + 14)


@pytest.mark.parametrize(
    ("payloads", "queue", "problem"),
    [
        (Payloads(kept=DAYS(18)), NewQueue(), "after 18 days, but .* for 18 days in"),
        (Payloads(kept=DAYS(19)), NewQueue(), None),
        (Payloads(kept=DAYS(19)), NewQueue(retention_period=DAYS(6)), "wait for 20 days"),
        (
            Payloads(bucket=NewBucket(lifecycle_rules=[s3.LifecycleRule(expiration=DAYS(7))])),
            NewQueue(),
            r"objects of '\*' in .* expire after 7 days, but .* 18 days",
        ),
        (
            Payloads(
                prefix="a/",
                bucket=NewBucket(
                    lifecycle_rules=[s3.LifecycleRule(prefix="b/", expiration=DAYS(7))]
                ),
            ),
            NewQueue(),
            None,
        ),
    ],
)
def test_bodies_that_would_be_gone_before_their_messages_are_rejected(
    stack: Stack, payloads: Payloads, queue: NewQueue, problem: str | None
) -> None:
    with rejected(problem):
        make(stack, payloads=payloads, queue=queue)


def test_a_subscriber_whose_queue_keeps_messages_longer_than_bodies_is_rejected(
    stack: Stack,
) -> None:
    fanout = ClaimCheckFanout(stack, "Fanout", payloads=Payloads(kept=DAYS(45)))
    fanout.add_queue("Short", consumer=function(stack))
    long = NewQueue(retention_period=DAYS(9))
    with rejected("45 days, but .* 46 days in Stack/Fanout/Long and its dead-letter queue"):
        fanout.add_queue("Long", consumer=function(stack, "Other"), queue=long)


def test_a_queue_that_deduplicates_by_the_content_of_pointers_is_rejected(stack: Stack) -> None:
    settings = NewQueue(fifo=True, content_based_deduplication=True)
    own = sqs.Queue(stack, "Own", fifo=True, content_based_deduplication=True)
    for queue in (settings, own):
        with rejected("each pointer has a key of its own"):
            make(stack, f"Claims{type(queue).__name__}", queue=queue)
    make(stack, "Good", queue=NewQueue(fifo=True))


@pytest.mark.parametrize("prefix", ["catalogs", "/catalogs/", "../", "a//", "a b/"])
def test_a_prefix_that_is_no_folder_is_rejected(prefix: str) -> None:
    with rejected("must be empty, or folders"):
        Payloads(prefix=prefix)


def test_two_queues_share_a_bucket_if_neither_is_within_the_folder_of_the_other(
    stack: Stack,
) -> None:
    bucket = s3.Bucket(stack, "Bucket")
    make(stack, "One", payloads=Payloads(bucket=bucket, prefix="a/"))
    make(stack, "Two", payloads=Payloads(bucket=bucket, prefix="b/"))
    assert {rule["Prefix"] for rule in rules(stack)} == {"a/", "b/"}
    for number, prefix in enumerate(("", "a/", "a/b/")):
        with rejected("each deletes what is in its own"):
            make(stack, f"More{number}", payloads=Payloads(bucket=bucket, prefix=prefix))


def test_an_imported_bucket_is_warned_of_what_it_needs(stack: Stack) -> None:
    theirs = s3.Bucket.from_bucket_name(stack, "Theirs", "theirs")
    make(stack, payloads=Payloads(bucket=theirs, prefix="a/"))
    warned(stack, "objects of 'a/' after 43 days.*after one.*encryption_key")


def statements(stack: Stack, role: iam.IRole) -> dict[str, Any]:
    """Return the resources of each action that a role's policies allow."""
    name = stack.resolve(role.role_name)
    return {
        action: statement["Resource"]
        for policy in properties(stack, "IAM::Policy")
        if name in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }


@pytest.mark.parametrize(
    ("grant", "actions"),
    [
        ("send", {"sqs:SendMessage", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"}),
        ("claim", {"s3:GetObject", "s3:DeleteObject", "s3:ListBucket"}),
        ("sweep", {"s3:DeleteObject", "s3:ListBucketVersions"}),
    ],
)
def test_each_role_may_do_its_part_below_the_prefix_alone(
    stack: Stack, grant: str, actions: set[str]
) -> None:
    key = kms.Key(stack, "Key")
    bucket = NewBucket(encryption_key=key)
    made = make(stack, payloads=Payloads(bucket=bucket, prefix="a/"), queue=NewQueue())
    role = iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal())
    getattr(made, f"grant_{grant}")(role)
    found = statements(stack, role)
    keyed = {"kms:Decrypt"} | ({"kms:GenerateDataKey"} if grant == "send" else set())
    assert {*found} == actions | keyed
    assert all("/a/*" in json.dumps(on) for it, on in found.items() if it.endswith("Object"))


def test_a_consumer_behind_a_topic_may_read_bodies_and_delete_none(stack: Stack) -> None:
    fanout = make_fanout(stack)
    reader, sender = (
        iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal()) for name in ("R", "S")
    )
    fanout.grant_read(reader)
    fanout.grant_send(sender)
    assert {*statements(stack, reader)} == {"s3:GetObject", "s3:ListBucket"}
    assert {"sns:Publish", "s3:PutObject"} <= {*statements(stack, sender)}


@pytest.mark.parametrize(
    ("subscription", "problem"),
    [
        (Subscription(raw_message_delivery=False), "from a raw message only"),
        (
            Subscription(
                filter_policy_with_message_body={
                    "a": sns.FilterOrPolicy.filter(
                        sns.SubscriptionFilter.string_filter(allowlist=["b"])
                    )
                }
            ),
            "SNS sees the pointer in place of a large body",
        ),
    ],
)
def test_a_subscription_that_no_pointer_passes_is_rejected(
    stack: Stack, subscription: Subscription, problem: str
) -> None:
    with rejected(problem):
        make_subscriber(stack, subscription=subscription)


def test_a_fifo_topic_delivers_raw_pointers_to_fifo_queues(stack: Stack) -> None:
    fanout = ClaimCheckFanout(stack, "Fanout", topic=NewTopic(fifo=True))
    fanout.add_queue("Search", consumer=function(stack), queue=NewQueue(fifo=True))
    (topic,) = properties(stack, "SNS::Topic")
    assert (topic["FifoTopic"], topic.get("ContentBasedDeduplication")) == (True, None)
    (subscription,) = properties(stack, "SNS::Subscription")
    assert subscription["RawMessageDelivery"] is True


def test_your_own_topic_serves_as_well(stack: Stack) -> None:
    topic = sns.Topic(stack, "Own")
    assert ClaimCheckFanout(stack, "Fanout", topic=topic).topic is topic


# Uploads


def test_s3_notifies_of_uploads_alone_and_the_front_may_sign_for_nothing_else(
    stack: Stack,
) -> None:
    made = make_uploads(stack, payloads=Payloads(prefix="a/"))
    (bucket,) = properties(stack, "S3::Bucket")
    (told,) = bucket["NotificationConfiguration"]["QueueConfigurations"]
    assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "a/uploads/"}]
    assert made.uploads
    (front,) = [child for child in stack.node.children if child.node.id == "Claimsuploads"]
    assert isinstance(front, lambda_.Function)
    assert front.role
    found = statements(stack, front.role)
    assert {*found} == {"s3:PutObject"}
    assert "/a/uploads/*" in json.dumps(found)


def test_uploads_to_your_own_bucket_are_told_by_event_bridge(stack: Stack) -> None:
    make_uploads(stack, payloads=Payloads(bucket=s3.Bucket(stack, "Bucket"), prefix="a/"))
    rules_ = [one for one in properties(stack, "Events::Rule") if "EventPattern" in one]
    assert rules_[0]["EventPattern"]["detail"]["object"]["key"] == [{"prefix": "a/uploads/"}]


def test_uploads_that_nobody_could_announce_are_rejected(stack: Stack) -> None:
    with rejected("come in no order and have no message group"):
        make_uploads(stack, "Fifo", queue=NewQueue(fifo=True))
    cors = apigateway.CorsOptions(allow_origins=["https://shop.example.com"])
    made = make(stack, "Cors")
    with rejected("answers no page of another origin"):
        made.add_uploads(
            front=function(stack, "Front"),
            announcer=function(stack, "Announcer"),
            endpoint=Endpoint("uploads", api=NewApi(cors=cors)),
        )
    still = function(stack, "Still", reserved_concurrent_executions=0)
    with rejected("every request would be answered with 5xx"):
        made.add_uploads(front=still, announcer=function(stack, "Other"))
