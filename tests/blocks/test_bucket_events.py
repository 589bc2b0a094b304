"""From a bucket to a queue: what is notified, who may, and what is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from aws_cdk import App, Duration, Environment, NestedStack, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.s3_events_lambda.construct import (
    NewQueue,
    Notification,
    ThroughTopic,
    Watch,
)
from tests.inline import function, properties, rejected, warned
from tests.s3_events_lambda.builds import make, make_direct, make_topic

if TYPE_CHECKING:
    from collections.abc import Callable


def bucket(stack: Stack) -> dict[str, Any]:
    [found] = properties(stack, "S3::Bucket")
    return found


def filters(configurations: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    return [
        (
            one["Event"],
            {rule["Name"]: rule["Value"] for rule in one["Filter"]["S3Key"]["Rules"]},
        )
        for one in configurations
    ]


def test_a_new_bucket_keeps_versions_and_notifies_without_a_function_of_the_cdk(
    stack: Stack,
) -> None:
    make(stack)
    found = bucket(stack)
    assert found["VersioningConfiguration"] == {"Status": "Enabled"}
    assert [one["Event"] for one in found["NotificationConfiguration"]["QueueConfigurations"]] == [
        "s3:ObjectCreated:*"
    ]
    Template.from_stack(stack).resource_count_is("Custom::S3BucketNotifications", 0)


@pytest.mark.parametrize(
    ("versions", "prefix", "problem"),
    [
        (False, "", r"expire after 7 days, but .* wait for 18 days"),
        (False, "lists/old/", r"objects of 'lists/old/\*' in .* expire after 7 days"),
        (False, "reports/", None),
        (True, "", None),  # the event names a version
    ],
)
def test_objects_of_your_bucket_that_expire_before_their_events_are_read_are_rejected(
    stack: Stack, versions: bool, prefix: str, problem: str | None
) -> None:
    rule = s3.LifecycleRule(prefix=prefix or None, expiration=Duration.days(7))
    own = s3.Bucket(stack, "Own", versioned=versions, lifecycle_rules=[rule])
    with rejected(problem):
        make(stack, bucket=own, watch=[Watch("lists/")])


def test_the_bucket_waits_for_the_policy_that_s3_asks_first(stack: Stack) -> None:
    make(stack)
    template = Template.from_stack(stack)
    [waits_for] = [one["DependsOn"] for one in template.find_resources("AWS::S3::Bucket").values()]
    [policy] = [
        name
        for name, one in template.find_resources("AWS::SQS::QueuePolicy").items()
        if "s3.amazonaws.com" in str(one)
    ]
    assert policy in waits_for


def test_removals_include_what_a_lifecycle_rule_expires(stack: Stack) -> None:
    watch = Watch("lists/", ".csv", ["ObjectRemoved"])
    make(stack, watch=[watch])
    ends = {"prefix": "lists/", "suffix": ".csv"}
    of_queue = bucket(stack)["NotificationConfiguration"]["QueueConfigurations"]
    assert filters(of_queue) == [("s3:ObjectRemoved:*", ends), ("s3:LifecycleExpiration:*", ends)]


def test_a_filter_is_encoded_as_s3_compares_it_and_a_pattern_of_eventbridge_is_not(
    stack: Stack,
) -> None:
    """S3 wants + for a blank and %XX for what is special; a raw filter would match nothing."""
    watch = Watch("price lists/Ü+(1)_*/", " x.csv")
    made = make(stack, watch=[watch])
    make(stack, "Rule", bucket=made.bucket, watch=[watch], sweep=None)
    [(_, ends)] = filters(bucket(stack)["NotificationConfiguration"]["QueueConfigurations"])
    assert ends == {"prefix": "price+lists/%C3%9C%2B(1)_*/", "suffix": "+x.csv"}
    [pattern] = [
        r["EventPattern"] for r in properties(stack, "Events::Rule") if "EventPattern" in r
    ]
    assert pattern["detail"]["object"]["key"] == [{"wildcard": r"price lists/Ü+(1)_\*/* x.csv"}]


def test_a_topic_lets_several_consumers_have_the_same_objects(stack: Stack) -> None:
    made = make_topic(stack)
    of_topic = bucket(stack)["NotificationConfiguration"]["TopicConfigurations"]
    assert [one["Topic"] for one in of_topic] == [stack.resolve(made.topic.topic_arn)]  # type: ignore[union-attr]
    [subscription] = properties(stack, "SNS::Subscription")
    assert subscription["RawMessageDelivery"] is True
    assert "RedrivePolicy" in subscription


def test_only_s3_for_this_bucket_of_this_account_may_use_the_queue_and_its_key(
    stack: Stack,
) -> None:
    key = kms.Key(stack, "Key")
    make(stack, key=key)
    policies = [
        one["PolicyDocument"]["Statement"] for one in properties(stack, "SQS::QueuePolicy")
    ] + [one["KeyPolicy"]["Statement"] for one in properties(stack, "KMS::Key")]
    ours = [
        one
        for statements in policies
        for one in statements
        if one["Principal"] == {"Service": "s3.amazonaws.com"}
    ]
    assert [one["Action"] for one in ours] == [
        "sqs:SendMessage",
        ["kms:Decrypt", "kms:GenerateDataKey"],
    ]
    name = bucket(stack)["BucketName"]
    for one in ours:
        assert one["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        arn = one["Condition"]["ArnLike"]["aws:SourceArn"]
        assert name in arn["Fn::Join"][1], "it names the bucket, and does not wait for it"


def own(stack: Stack, **settings: Any) -> s3.Bucket:
    return s3.Bucket(stack, "Own", **settings)


def test_two_constructs_share_a_bucket(stack: Stack) -> None:
    first = make(stack, "First", watch=[Watch("lists/")])
    make(stack, "Second", bucket=first.bucket, watch=[Watch("scans/")], through=Notification())
    of_queue = bucket(stack)["NotificationConfiguration"]["QueueConfigurations"]
    assert [ends for _, ends in filters(of_queue)] == [{"prefix": "lists/"}, {"prefix": "scans/"}]


@pytest.mark.parametrize(
    ("watch", "key"),
    [
        (Watch(), None),
        (Watch("a*/"), {"prefix": "a*/"}),
        (Watch(suffix=".csv"), {"suffix": ".csv"}),
        (Watch("a*/", ".csv"), {"wildcard": r"a\*/*.csv"}),
    ],
    ids=["all", "prefix", "suffix", "both"],
)
def test_your_own_bucket_sends_to_eventbridge_and_a_rule_to_the_queue(
    stack: Stack, watch: Watch, key: Any
) -> None:
    make(stack, bucket=own(stack), watch=[watch], sweep=None)
    assert bucket(stack)["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    [rule] = properties(stack, "Events::Rule")
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"].get("object") == (key and {"key": [key]})
    assert rule["Targets"][0]["DeadLetterConfig"]


def test_eventbridge_joins_what_the_cdk_notifies_and_what_is_notified_here(stack: Stack) -> None:
    theirs = own(stack)
    destination = notifications.SqsDestination(sqs.Queue(stack, "Other"))
    theirs.add_event_notification(s3.EventType.OBJECT_REMOVED, destination)
    make(stack, "First", bucket=theirs, sweep=None)
    [configured] = (
        Template.from_stack(stack).find_resources("Custom::S3BucketNotifications").values()
    )
    assert {*configured["Properties"]["NotificationConfiguration"]} == {
        "QueueConfigurations",
        "EventBridgeConfiguration",
    }


def test_a_new_bucket_notifies_a_queue_and_eventbridge(stack: Stack) -> None:
    first = make(stack, "First", sweep=None)
    make(stack, "Second", bucket=first.bucket, sweep=None)
    assert {*bucket(stack)["NotificationConfiguration"]} == {
        "QueueConfigurations",
        "EventBridgeConfiguration",
    }


def test_an_imported_bucket_is_watched_with_a_warning(stack: Stack) -> None:
    make(stack, bucket=s3.Bucket.from_bucket_name(stack, "Theirs", "theirs"))
    warned(stack, "notifications to EventBridge must be on, or nothing arrives")


@pytest.mark.parametrize("there", ["another stack", "parent", "nested"])
def test_a_bucket_of_another_stack_is_watched_through_eventbridge_and_nothing_depends_in_a_circle(
    there: str,
) -> None:
    app = App()
    first = Stack(app, "First")
    second = Stack(app, "Second") if there == "another stack" else NestedStack(first, "Second")
    here, other = (first, second) if there == "nested" else (second, first)
    theirs = s3.Bucket(other, "Theirs", encryption_key=kms.Key(other, "Key"))
    made = make(here, bucket=theirs, watch=[Watch("lists/")], results_prefix="reports/")
    made.grant_read(function(here, "Reader"))
    made.grant_write_results(function(here, "Writer"))
    app.synth()  # it rejects a circle
    [rule] = [one for one in properties(here, "Events::Rule") if "EventPattern" in one]
    assert here.resolve(theirs.bucket_name) in rule["EventPattern"]["detail"]["bucket"]["name"]
    [of_bucket] = properties(other, "S3::Bucket")
    assert of_bucket["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }


def test_one_rule_asks_for_the_same_events_of_all_objects(stack: Stack) -> None:
    watch = [Watch("a/"), Watch("b/", events=["ObjectRemoved"])]
    with rejected("watch asks for different events of different objects"):
        make(stack, bucket=own(stack), watch=watch)


def elsewhere(stack: Stack) -> s3.Bucket:
    return s3.Bucket(Stack(cast("App", stack.node.scope), "There"), "Own", bucket_name="theirs")


def with_configuration(stack: Stack) -> s3.Bucket:
    made = own(stack, bucket_name="ours")
    made.node.default_child.notification_configuration = {"lambdaConfigurations": []}  # type: ignore[union-attr]
    return made


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (own, "Stack/Own cannot notify from here, because its name is generated.*bucket_name"),
        (elsewhere, "There/Own cannot notify from here, because another stack makes it"),
        (
            lambda stack: s3.Bucket.from_bucket_name(stack, "Own", "theirs"),
            "Stack/Own cannot notify from here, because it is imported",
        ),
        (with_configuration, "Stack/Own has a notification_configuration of yours"),
    ],
    ids=["generated", "elsewhere", "imported", "configured"],
)
def test_a_bucket_that_cannot_notify_from_here_is_rejected(
    stack: Stack, given: Callable[[Stack], s3.IBucket], problem: str
) -> None:
    with rejected(problem):
        make(stack, bucket=given(stack), through=Notification())


def test_notifications_that_the_cdk_would_replace_are_rejected_at_synthesis() -> None:
    app = App()
    stack = Stack(app, "Stack")
    made = make(stack)
    other = notifications.SqsDestination(sqs.Queue(stack, "Other"))
    made.bucket.add_event_notification(s3.EventType.OBJECT_REMOVED, other)
    with pytest.raises(RuntimeError, match=r"notifications of this library and of .*Use one"):
        app.synth()


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Watch(events=[]), r"events is \[\]; it must have some of ObjectCreated"),
        (lambda: Watch(events=["s3:ObjectCreated:*"]), "it must have some of"),  # type: ignore[list-item]
        (lambda: Watch("ü" * 512, "x"), "1025 bytes, but a key has 1,024 at most"),
        (lambda: Watch("ü" * 512), None),
        (lambda: Watch("lists/*"), r"prefix is 'lists/\*', but S3 compares \* with itself"),
        (lambda: Watch(suffix="*.csv"), r"suffix is '\*.csv', but S3 compares \* with itself"),
        (ThroughTopic, "encryption_key is None, but S3 cannot publish"),
    ],
    ids=["none", "unknown", "too-long", "longest", "any-end", "any-start", "topic-without-key"],
)
def test_settings_that_nothing_would_match_are_rejected(
    made: Callable[[], object], problem: str | None
) -> None:
    with rejected(problem):
        made()


def test_a_queue_with_the_key_of_aws_is_rejected(stack: Stack) -> None:
    kept = sqs.DeadLetterQueue(
        queue=sqs.Queue(stack, "Kept", retention_period=Duration.days(14)), max_receive_count=5
    )
    queue = sqs.Queue(
        stack,
        "Own",
        encryption=sqs.QueueEncryption.KMS_MANAGED,
        dead_letter_queue=kept,
        visibility_timeout=Duration.seconds(60),
    )
    with rejected("Stack/Own is encrypted with alias/aws/sqs, .*S3 would reject the notification"):
        make(stack, queue=queue)


def test_a_fifo_queue_is_rejected(stack: Stack) -> None:
    with rejected("notifies queue .*, which is FIFO"):
        make(stack, queue=NewQueue(fifo=True))


def test_a_function_elsewhere_is_rejected() -> None:
    stack = Stack(App(), "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    arn = "arn:aws:lambda:eu-west-1:999999999999:function:theirs"
    theirs = lambda_.Function.from_function_arn(stack, "Theirs", arn)
    with rejected("Stack/Theirs is in account 999999999999.*functions of the bucket's own place"):
        make_direct(stack, function=theirs)
