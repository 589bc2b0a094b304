"""The promises of the construct beyond those of every queue, consumer, key and alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.s3_events_lambda.construct import (
    NewBucket,
    NewQueue,
    S3EventsToSqsToLambda,
    Sweep,
    ThroughTopic,
    Watch,
)
from tests.inline import function, properties, rejected
from tests.s3_events_lambda.builds import make, make_topic

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
    make(stack, "Second", bucket=first.bucket, watch=[Watch("scans/")])
    of_queue = bucket(stack)["NotificationConfiguration"]["QueueConfigurations"]
    assert [ends for _, ends in filters(of_queue)] == [{"prefix": "lists/"}, {"prefix": "scans/"}]


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
        make(stack, bucket=given(stack))


def test_notifications_that_the_cdk_would_replace_are_rejected_at_synthesis() -> None:
    app = App()
    stack = Stack(app, "Stack")
    made = make(stack)
    other = notifications.SqsDestination(sqs.Queue(stack, "Other"))
    made.bucket.add_event_notification(s3.EventType.OBJECT_REMOVED, other)
    with pytest.raises(RuntimeError, match=r"notifications of this library and of .*Use one"):
        app.synth()


LOOP = r"results_prefix is '{}', but s3:ObjectCreated:\* of 'lists/\*' is watched.*without end"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"results_prefix": "lists/done/"}, LOOP.format("lists/done/")),
        ({"results_prefix": "li"}, LOOP.format("li")),
        ({"results_prefix": ""}, "results_prefix is empty"),
        ({"results_prefix": "reports/"}, None),
        ({"watch": []}, "watch is empty, so nothing would arrive"),
        ({"watch": [Watch("lists/a"), Watch("lists/")]}, "two notifications for the same event"),
        ({"watch": [Watch("lists/", ".csv"), Watch("lists/", ".xml")]}, None),
        ({"watch": [Watch("lists/"), Watch("lists/", events=["ObjectRemoved"])]}, None),
        ({"queue": NewQueue(fifo=True)}, "notifies queue .*, which is FIFO"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_would_fail_or_never_end_is_rejected(
    stack: Stack, given: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        make(stack, **{"watch": [Watch("lists/")]} | given)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Watch(events=[]), r"events is \[\]; it must have some of ObjectCreated"),
        (lambda: Watch(events=["s3:ObjectCreated:*"]), "it must have some of"),  # type: ignore[list-item]
        (lambda: Watch("ü" * 512, "x"), "1025 bytes, but a key has 1,024 at most"),
        (lambda: Watch("ü" * 512), None),
        (ThroughTopic, "encryption_key is None, but S3 cannot publish"),
    ],
    ids=["none", "unknown", "too-long", "longest", "topic-without-key"],
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


def test_the_grants_end_at_what_is_watched(stack: Stack) -> None:
    reader = function(stack, "Reader")
    made = make(stack, watch=[Watch("lists/", ".csv")], results_prefix="reports/")
    made.grant_read(reader)
    made.grant_put(reader)
    made.grant_write_results(reader)
    made.grant_sweep(reader)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like({"Action": ["s3:GetObject", "s3:GetObjectVersion"]}),
                        Match.object_like({"Action": "s3:ListBucket"}),
                        Match.object_like({"Action": ["s3:PutObject", "s3:AbortMultipartUpload"]}),
                        Match.object_like({"Action": "s3:PutObject"}),
                        Match.object_like({"Action": "sqs:SendMessage"}),
                        Match.object_like({"Action": "s3:ListBucketVersions"}),
                    ]
                )
            }
        },
    )
    texts = str(template.find_resources("AWS::IAM::Policy"))
    assert "/lists/*.csv" in texts
    assert "/reports/*" in texts
    assert "'/*'" not in texts


def test_results_without_a_place_are_not_granted(stack: Stack) -> None:
    with rejected("has no results_prefix"):
        make(stack).grant_write_results(function(stack, "Writer"))


def test_the_sweep_runs_by_a_schedule_that_alone_may_invoke_it(stack: Stack) -> None:
    made = make(stack)
    [rule] = properties(stack, "Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    [permission] = properties(stack, "Lambda::Permission")
    assert permission["SourceArn"] == stack.resolve(made.schedule.rule_arn)  # type: ignore[union-attr]
    [found] = [
        alarm for alarm in properties(stack, "CloudWatch::Alarm")
        if alarm["MetricName"] == "ObjectsFound"
    ]  # fmt: skip
    assert (found["Namespace"], found["Threshold"]) == ("ServerlessPatterns", 0)
    assert [one["Name"] for one in found["Dimensions"]] == ["FunctionName"]


def test_without_a_sweep_nothing_is_scheduled(stack: Stack) -> None:
    made = S3EventsToSqsToLambda(stack, "Events", consumer=function(stack))
    assert made.schedule is None
    assert made.topic is None
    assert properties(stack, "Events::Rule") == []


def test_a_sweep_that_never_runs_is_rejected(stack: Stack) -> None:
    never = function(stack, "Never", reserved_concurrent_executions=0)
    with rejected("nothing would be found"):
        make(stack, sweep=Sweep(never))


def test_a_bucket_with_a_key_of_its_own_is_encrypted_with_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, bucket=NewBucket(encryption_key=key))
    made.grant_put(function(stack, "Uploader"))
    assert "aws:kms" in str(bucket(stack)["BucketEncryption"])
