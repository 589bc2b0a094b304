"""What the constructs promise of their own: bodies outlive messages, and what would fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

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
from tests.inline import function, granted, properties, rejected, warned

if TYPE_CHECKING:
    from aws_cdk import Stack

DAYS = Duration.days
ONE = sns.SubscriptionFilter.string_filter(allowlist=["b"])
BY_BODY = {"a": sns.FilterOrPolicy.filter(ONE)}


def rules(stack: Stack) -> list[dict[str, Any]]:
    (bucket,) = properties(stack, "S3::Bucket")
    return list(bucket["LifecycleConfiguration"]["Rules"])


def expiring(prefix: str, own: str) -> Payloads:
    """Return bodies in a bucket with a rule of yours by which objects expire after 7 days."""
    rule = s3.LifecycleRule(prefix=own or None, expiration=DAYS(7))
    return Payloads(prefix=prefix, bucket=NewBucket(lifecycle_rules=[rule]))


def test_bodies_expire_a_week_after_the_sweep_and_incomplete_uploads_after_a_day(
    stack: Stack,
) -> None:
    made = make(stack, payloads=Payloads(prefix="catalogs/"))
    (rule,), days = rules(stack), 2 * (4 + 14)
    assert rule.pop("AbortIncompleteMultipartUpload") == {"DaysAfterInitiation": 1}
    assert rule == {"ExpirationInDays": days + 7, "Prefix": "catalogs/", "Status": "Enabled"}
    assert made.sweep_environment["KEPT_SECONDS"] == str(days * 86_400)
    assert made.environment["PREFIX"] == "catalogs/"


@pytest.mark.parametrize(
    ("payloads", "queue", "problem"),
    [
        (Payloads(kept=DAYS(18)), NewQueue(), "after 18 days, but .* for 18 days in"),
        (Payloads(kept=DAYS(19)), NewQueue(), None),
        (Payloads(kept=DAYS(19)), NewQueue(retention_period=DAYS(6)), "wait for 20 days"),
        (expiring("", ""), NewQueue(), r"objects of '\*' in .* expire after 7 days, but .* 18"),
        (expiring("a/", "b/"), NewQueue(), None),
    ],
)
def test_bodies_that_would_be_gone_before_their_messages_are_rejected(
    stack: Stack, payloads: Payloads, queue: NewQueue, problem: str | None
) -> None:
    with rejected(problem):
        make(stack, payloads=payloads, queue=queue)


def test_the_bodies_of_a_topic_outlive_its_retries_and_every_queue(stack: Stack) -> None:
    fanout = make_fanout(stack)
    assert rules(stack)[0]["ExpirationInDays"] == 2 * (23 + 4 + 14)
    kept, long = Payloads(kept=DAYS(45)), NewQueue(retention_period=DAYS(9))
    with rejected("45 days, but .* 46 days in Stack/Short/Subscriber and its dead-letter queue"):
        make_fanout(stack, "Short", payloads=kept, queue=long)
    fanout.add_queue("Long", consumer=function(stack), queue=long)


def test_a_queue_that_deduplicates_by_the_content_of_pointers_is_rejected(stack: Stack) -> None:
    by_content: Any = {"fifo": True, "content_based_deduplication": True}
    for queue in (NewQueue(**by_content), sqs.Queue(stack, "Own", **by_content)):
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
    for prefix in ("a/", "b/"):
        make(stack, f"In{prefix[0]}", payloads=Payloads(bucket=bucket, prefix=prefix))
    assert {rule["Prefix"] for rule in rules(stack)} == {"a/", "b/"}
    for number, prefix in enumerate(("", "a/", "a/b/")):
        with rejected("each deletes what is in its own"):
            make(stack, f"More{number}", payloads=Payloads(bucket=bucket, prefix=prefix))


def test_an_imported_bucket_is_warned_of_what_it_needs(stack: Stack) -> None:
    theirs = s3.Bucket.from_bucket_name(stack, "Theirs", "theirs")
    make(stack, payloads=Payloads(bucket=theirs, prefix="a/"))
    warned(stack, "objects of 'a/' after 43 days.*after one.*encryption_key")


READ = {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
SEND = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"}
SEND |= {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.parametrize(
    ("construct", "grant", "actions"),
    [
        (make, "send", SEND | {"sqs:SendMessage"}),
        (make, "claim", READ | {"s3:DeleteObject"}),
        (make, "sweep", {"s3:DeleteObject", "s3:ListBucketVersions", "kms:Decrypt"}),
        (make_fanout, "read", READ),  # and delete none: the body has other readers
        (make_fanout, "send", SEND | {"sns:Publish"}),
        (make_uploads, "", {"s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"}),
    ],
)
def test_each_role_may_do_its_part_below_the_prefix_alone(
    stack: Stack, construct: Any, grant: str, actions: set[str]
) -> None:
    bucket = NewBucket(encryption_key=kms.Key(stack, "Key"))
    made = construct(stack, "It", payloads=Payloads(bucket=bucket, prefix="a/"))
    if grant:
        role = iam.Role(stack, "Grantee", assumed_by=iam.AccountRootPrincipal())
        getattr(made, f"grant_{grant}")(role)
    found = granted(Template.from_stack(stack), "Grantee" if grant else "Ituploads")
    assert {action for action, _ in found} == actions
    below = "/a/*" if grant else "/a/uploads/*"
    assert all(on.endswith(below) for action, on in found if action.endswith("Object"))


@pytest.mark.parametrize(
    ("subscription", "problem"),
    [
        (Subscription(raw_message_delivery=False), "from a raw message only"),
        (Subscription(filter_policy_with_message_body=BY_BODY), "SNS sees the pointer in place"),
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
    own = sns.Topic(stack, "Own")
    assert ClaimCheckFanout(stack, "Other", topic=own).topic is own
    wrong: Any = "yes"
    with rejected("fifo is 'yes'; it must be of type bool"):
        ClaimCheckFanout(stack, "Wrong", topic=NewTopic(fifo=wrong))


# Uploads


@pytest.mark.parametrize("is_new", [True, False])
def test_s3_tells_of_uploads_alone_and_of_those_to_your_bucket_by_event_bridge(
    stack: Stack, is_new: bool
) -> None:
    bucket = NewBucket() if is_new else s3.Bucket(stack, "Bucket")
    make_uploads(stack, payloads=Payloads(bucket=bucket, prefix="a/"))
    if is_new:
        (made,) = properties(stack, "S3::Bucket")
        (told,) = made["NotificationConfiguration"]["QueueConfigurations"]
        assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "a/uploads/"}]
    else:
        (rule,) = [one for one in properties(stack, "Events::Rule") if "EventPattern" in one]
        assert rule["EventPattern"]["detail"]["object"]["key"] == [{"prefix": "a/uploads/"}]


def test_uploads_that_nobody_could_announce_are_rejected(stack: Stack) -> None:
    with rejected("come in no order and have no message group"):
        make_uploads(stack, "Fifo", queue=NewQueue(fifo=True))
    cors = apigateway.CorsOptions(allow_origins=["https://shop.example.com"])
    made, front, announcer = make(stack, "Cors"), function(stack, "F"), function(stack, "A")
    page = Endpoint("uploads", api=NewApi(cors=cors))
    with rejected("answers no page of another origin"):
        made.add_uploads(front=front, announcer=announcer, endpoint=page)
    still = function(stack, "Still", reserved_concurrent_executions=0)
    with rejected("every request would be answered with 5xx"):
        made.add_uploads(front=still, announcer=announcer)
