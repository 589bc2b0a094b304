"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, NestedStack, Stack
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.sns_fifo_fanout.construct import SnsFifoFanout, Subscriber
from tests.inline import function

TOPIC_ARN = "arn:aws:sns:us-east-1:111111111111:prices.fifo"
WHOLESALE = sns.SubscriptionFilter.string_filter(allowlist=["wholesale"])
METHODS = ("add_fifo_queue", "add_queue")


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def fanout(stack: Stack, construct_id: str = "Fanout", **settings: Any) -> SnsFifoFanout:
    return SnsFifoFanout(stack, construct_id, **settings)


def subscribe(
    made: SnsFifoFanout,
    construct_id: str = "One",
    *,
    method: str = "add_fifo_queue",
    **settings: Any,
) -> Subscriber:
    stack = Stack.of(made)
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    added: Subscriber = getattr(made, method)(construct_id, consumer=consumer, **settings)
    return added


def template(stack: Stack) -> Template:
    return Template.from_stack(stack)


def properties(stack: Stack, kind: str) -> list[dict[str, Any]]:
    return [found["Properties"] for found in template(stack).find_resources(kind).values()]


def only(stack: Stack, kind: str) -> dict[str, Any]:
    (found,) = properties(stack, kind)
    return found


def statements_for_sns(stack: Stack, kind: str) -> list[dict[str, Any]]:
    """Return the statements of resource policies that admit SNS."""
    document = "KeyPolicy" if kind == "AWS::KMS::Key" else "PolicyDocument"
    return [
        statement
        for policy in properties(stack, kind)
        for statement in policy[document]["Statement"]
        if statement["Principal"] == {"Service": "sns.amazonaws.com"}
    ]


# The topic


def test_the_topic_is_fifo_and_deduplicates_within_the_message_group(stack: Stack) -> None:
    fanout(stack)
    topic = only(stack, "AWS::SNS::Topic")
    assert topic["FifoTopic"] is True
    assert topic["FifoThroughputScope"] == "MessageGroup"
    assert "ContentBasedDeduplication" not in topic
    assert "ArchivePolicy" not in topic


def test_the_topics_deduplication_is_a_choice(stack: Stack) -> None:
    fanout(
        stack,
        content_based_deduplication=True,
        fifo_throughput_scope=sns.FifoThroughputScope.TOPIC,
    )
    topic = only(stack, "AWS::SNS::Topic")
    assert topic["ContentBasedDeduplication"] is True
    assert topic["FifoThroughputScope"] == "Topic"


def test_the_topics_name_is_unique_to_the_stack(stack: Stack) -> None:
    fanout(stack)
    name = json.dumps(only(stack, "AWS::SNS::Topic")["TopicName"])
    assert '{"Ref": "AWS::StackId"}' in name
    assert '".fifo"' in name


def test_the_topic_refuses_plain_http(stack: Stack) -> None:
    fanout(stack)
    template(stack).has_resource_properties(
        "AWS::SNS::TopicPolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like(
                        {
                            "Effect": "Deny",
                            "Action": "sns:Publish",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    )
                ]
            }
        },
    )


def test_topic_and_queues_are_encrypted_without_a_key_of_ones_own(stack: Stack) -> None:
    subscribe(fanout(stack))
    assert only(stack, "AWS::SNS::Topic")["KmsMasterKeyId"] == "alias/aws/sns"
    queues = properties(stack, "AWS::SQS::Queue")
    assert len(queues) == 3
    assert all(queue["SqsManagedSseEnabled"] for queue in queues)
    template(stack).resource_count_is("AWS::KMS::Key", 0)


def test_an_archive_keeps_messages_as_long_as_asked(stack: Stack) -> None:
    fanout(stack, message_retention_period_in_days=30, encryption_key=kms.Key(stack, "Key"))
    assert only(stack, "AWS::SNS::Topic")["ArchivePolicy"] == {"MessageRetentionPeriod": 30}


def test_grant_publish_allows_publishing_to_this_topic_alone(stack: Stack) -> None:
    made = fanout(stack)
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    made.grant_publish(caller)
    assert only(stack, "AWS::IAM::Policy")["PolicyDocument"]["Statement"] == [
        {
            "Action": "sns:Publish",
            "Effect": "Allow",
            "Resource": stack.resolve(made.topic.topic_arn),
        }
    ]


def test_grant_publish_allows_the_topics_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    fanout(stack, encryption_key=key).grant_publish(caller)
    statements = only(stack, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (on_key,) = [s for s in statements if s["Resource"] == stack.resolve(key.key_arn)]
    assert set(on_key["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}


# Who may deliver


def test_only_sns_for_this_topic_of_this_account_may_deliver(stack: Stack) -> None:
    made = fanout(stack)
    added = subscribe(made)
    admitted = statements_for_sns(stack, "AWS::SQS::QueuePolicy")
    assert [statement["Resource"] for statement in admitted] == [
        stack.resolve(queue.queue_arn) for queue in (added.queue, added.delivery_dead_letter_queue)
    ]
    name = json.dumps(only(stack, "AWS::SNS::Topic")["TopicName"])[1:-1]
    for statement in admitted:
        assert statement["Action"] == "sqs:SendMessage"
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert list(condition["ArnLike"]) == ["aws:SourceArn"]
        arn = json.dumps(condition["ArnLike"]["aws:SourceArn"])
        assert ":sns:" in arn
        assert "*" not in arn
        assert '"Fn::Join": ["-", ["StackFanout' in arn
        assert '"Fn::Join": ["-", ["StackFanout' in name


def test_every_queue_refuses_plain_http(stack: Stack) -> None:
    made = fanout(stack)
    for method in METHODS:
        subscribe(made, method, method=method)
    policies = properties(stack, "AWS::SQS::QueuePolicy")
    assert len(policies) == len(properties(stack, "AWS::SQS::Queue")) == 6
    for policy in policies:
        assert {"Bool": {"aws:SecureTransport": "false"}} in [
            statement.get("Condition")
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]


def test_a_subscription_waits_for_the_permissions_to_deliver(stack: Stack) -> None:
    subscribe(fanout(stack))
    (subscription,) = template(stack).find_resources("AWS::SNS::Subscription").values()
    policies = template(stack).find_resources("AWS::SQS::QueuePolicy")
    admitting = {name for name, found in policies.items() if "sns.amazonaws" in json.dumps(found)}
    assert len(admitting) == 2
    assert admitting <= set(subscription["DependsOn"])


def test_a_customer_key_encrypts_everything(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = fanout(stack, encryption_key=key)
    for method in METHODS:
        subscribe(made, method, method=method)
    arn = stack.resolve(key.key_arn)
    assert only(stack, "AWS::SNS::Topic")["KmsMasterKeyId"] == arn
    assert [queue["KmsMasterKeyId"] for queue in properties(stack, "AWS::SQS::Queue")] == [arn] * 6


def test_a_customer_key_admits_sns_for_this_topic_of_this_account_and_no_more(
    stack: Stack,
) -> None:
    made = fanout(stack, encryption_key=kms.Key(stack, "Key"))
    for method in METHODS:
        subscribe(made, method, method=method)
    (statement,) = statements_for_sns(stack, "AWS::KMS::Key")
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert (
        statement["Condition"] == statements_for_sns(stack, "AWS::SQS::QueuePolicy")[0]["Condition"]
    )
    assert len(only(stack, "AWS::KMS::Key")["KeyPolicy"]["Statement"]) == 2


def test_the_consumer_may_decrypt_with_the_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    subscribe(fanout(stack, encryption_key=key))
    statements = only(stack, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    assert {
        "Action": "kms:Decrypt",
        "Effect": "Allow",
        "Resource": stack.resolve(key.key_arn),
    } in statements


def test_an_imported_key_is_used_with_a_warning_of_what_it_must_allow(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111111111111:key/1")
    fanout(stack, encryption_key=key)
    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("key is imported.*kms:Decrypt and kms:GenerateDataKey")
    )


@pytest.mark.parametrize("nested", [False, True])
def test_a_policy_in_another_stack_names_the_topic_of_this_one(nested: bool) -> None:
    """``AWS::StackId`` there would be that stack's own: no topic would have such an ARN."""
    app = App()
    other = Stack(app, "Other")
    here = NestedStack(other, "Nested") if nested else Stack(app, "Stack")
    key = kms.Key(other, "Key")
    letters = sqs.Queue(other, "Letters", fifo=True, retention_period=Duration.days(14))
    own = sqs.Queue(
        other,
        "Own",
        fifo=True,
        visibility_timeout=Duration.minutes(1),
        dead_letter_queue=sqs.DeadLetterQueue(queue=letters, max_receive_count=5),
    )
    made = fanout(here, encryption_key=key)
    subscribe(made, consumer=function(here), queue=own)
    found = statements_for_sns(other, "AWS::KMS::Key")
    found += statements_for_sns(other, "AWS::SQS::QueuePolicy")
    assert len(found) == 2
    for statement in found:
        arn = json.dumps(statement["Condition"]["ArnLike"]["aws:SourceArn"])
        assert "AWS::StackId" not in arn
        assert re.search(r"Fanout[^\"]*-\*\.fifo", arn)


# Subscribers


@pytest.mark.parametrize(("method", "fifo"), [("add_fifo_queue", True), ("add_queue", None)])
def test_each_subscriber_has_a_queue_two_dead_letter_queues_and_a_consumer(
    stack: Stack, method: str, fifo: bool | None
) -> None:
    made = fanout(stack)
    added = subscribe(made, method=method)
    assert made.subscribers == [added]
    queues = template(stack).find_resources("AWS::SQS::Queue")
    ids = {
        stack.get_logical_id(queue.node.default_child): expected  # type: ignore[arg-type]
        for queue, expected in (
            (added.queue, fifo),
            (added.dead_letter_queue, fifo),
            (added.delivery_dead_letter_queue, True),
        )
    }
    assert {name: queue["Properties"].get("FifoQueue") for name, queue in queues.items()} == ids
    mapping = only(stack, "AWS::Lambda::EventSourceMapping")
    assert mapping["EventSourceArn"] == stack.resolve(added.queue.queue_arn)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_what_sns_cannot_deliver_is_kept_for_14_days(stack: Stack) -> None:
    added = subscribe(fanout(stack))
    subscription = only(stack, "AWS::SNS::Subscription")
    arn = stack.resolve(added.delivery_dead_letter_queue.queue_arn)
    assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": arn}
    (name, _) = arn["Fn::GetAtt"]
    queue = template(stack).find_resources("AWS::SQS::Queue")[name]["Properties"]
    assert queue["MessageRetentionPeriod"] == 14 * 86_400


def test_events_are_delivered_raw_unless_asked_otherwise(stack: Stack) -> None:
    made = fanout(stack)
    subscribe(made, "Raw")
    subscribe(made, "Wrapped", raw_message_delivery=False)
    raw = [found["RawMessageDelivery"] for found in properties(stack, "AWS::SNS::Subscription")]
    assert raw == [True, False]


def test_a_subscriber_filters_by_attributes(stack: Stack) -> None:
    subscribe(fanout(stack), filter_policy={"channels": WHOLESALE})
    subscription = only(stack, "AWS::SNS::Subscription")
    assert subscription["FilterPolicy"] == {"channels": ["wholesale"]}
    assert "FilterPolicyScope" not in subscription


def test_a_subscriber_filters_by_the_body(stack: Stack) -> None:
    by_body = {"channels": sns.FilterOrPolicy.filter(WHOLESALE)}
    subscribe(fanout(stack), filter_policy_with_message_body=by_body)
    subscription = only(stack, "AWS::SNS::Subscription")
    assert subscription["FilterPolicy"] == {"channels": ["wholesale"]}
    assert subscription["FilterPolicyScope"] == "MessageBody"


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 11, 21, 8, 0, tzinfo=UTC),
        datetime(2026, 11, 21, 9, 0, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_subscription_replays_the_archive_from_a_point_in_time(
    stack: Stack, start: datetime
) -> None:
    made = fanout(stack, message_retention_period_in_days=7, encryption_key=kms.Key(stack, "Key"))
    subscribe(made, replay_from=start)
    assert only(stack, "AWS::SNS::Subscription")["ReplayPolicy"] == {
        "PointType": "Timestamp",
        "StartingPoint": "2026-11-21T08:00:00.000Z",
    }


def test_fifo_queues_are_in_high_throughput_mode(stack: Stack) -> None:
    subscribe(fanout(stack))
    template(stack).has_resource_properties(
        "AWS::SQS::Queue",
        {
            "FifoThroughputLimit": "perMessageGroupId",
            "DeduplicationScope": "messageGroup",
            "RedrivePolicy": Match.object_like({"maxReceiveCount": 5}),
        },
    )


def test_the_dead_letter_queue_takes_messages_from_its_own_source_alone(stack: Stack) -> None:
    subscribe(fanout(stack))
    template(stack).has_resource_properties(
        "AWS::SQS::Queue",
        {
            "RedriveAllowPolicy": {
                "redrivePermission": "byQueue",
                "sourceQueueArns": [Match.any_value()],
            }
        },
    )


def test_the_visibility_timeout_follows_the_consumer_and_the_window(stack: Stack) -> None:
    made = fanout(stack)
    subscribe(made, "InOrder", consumer=function(stack, "A", timeout=Duration.seconds(20)))
    subscribe(
        made,
        "InBatches",
        method="add_queue",
        consumer=function(stack, "B", timeout=Duration.seconds(20)),
        batch_size=500,
        max_batching_window=Duration.seconds(5),
    )
    seconds = [
        queue["VisibilityTimeout"]
        for queue in properties(stack, "AWS::SQS::Queue")
        if "RedrivePolicy" in queue
    ]
    assert seconds == [120, 125]


def test_an_alias_consumes_in_place_of_its_function(stack: Stack) -> None:
    subscribe(fanout(stack), consumer=function(stack).add_alias("live"))
    mapping = only(stack, "AWS::Lambda::EventSourceMapping")
    assert ":live" in json.dumps(mapping["FunctionName"])


# Alarms


def test_alarms_watch_the_topic_and_each_subscriber(stack: Stack) -> None:
    action = cloudwatch_actions.SnsAction(sns.Topic(stack, "Alarms"))
    made = fanout(stack, alarm_actions=[action])
    added = subscribe(made, max_message_age=Duration.minutes(3))
    topic = stack.resolve(made.topic.topic_name)
    queue, dead_letters, undelivered = (
        stack.resolve(queue.queue_name)
        for queue in (added.queue, added.dead_letter_queue, added.delivery_dead_letter_queue)
    )
    visible = "ApproximateNumberOfMessagesVisible"
    expected = [
        ("NumberOfNotificationsFailed", topic, 0, 5),
        ("NumberOfNotificationsRedrivenToDlq", topic, 0, 1),
        ("NumberOfNotificationsFailedToRedriveToDlq", topic, 0, 1),
        ("NumberOfNotificationsFilteredOut-InvalidAttributes", topic, 0, 1),
        ("NumberOfNotificationsFilteredOut-InvalidMessageBody", topic, 0, 1),
        ("ApproximateAgeOfOldestMessage", queue, 180, 15),
        (visible, dead_letters, 0, 1),
        (visible, undelivered, 0, 1),
    ]
    alarms = properties(stack, "AWS::CloudWatch::Alarm")
    found = [
        (
            alarm["MetricName"],
            alarm["Dimensions"][0]["Value"],
            alarm["Threshold"],
            alarm["EvaluationPeriods"],
        )
        for alarm in alarms
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert len(made.alarms) == len(expected)
    for alarm in alarms:
        assert len(alarm["Dimensions"]) == 1
        assert alarm["Namespace"] in ("AWS/SNS", "AWS/SQS")
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["Period"] == 60
        assert alarm["AlarmDescription"]
        assert len(alarm["AlarmActions"]) == 1


def test_metrics_are_of_the_right_resource(stack: Stack) -> None:
    made = fanout(stack)
    added = subscribe(made)
    assert made.metric_number_of_messages_published().metric_name == "NumberOfMessagesPublished"
    assert made.metric_number_of_notifications_failed().metric_name == "NumberOfNotificationsFailed"
    for metric, queue in (
        (added.metric_approximate_age_of_oldest_message(), added.queue),
        (added.metric_dead_letters(), added.dead_letter_queue),
        (added.metric_undelivered(), added.delivery_dead_letter_queue),
    ):
        assert metric.dimensions == {"QueueName": queue.queue_name}


# Bring your own


def own_queue(stack: Stack, *, fifo: bool | None = None, **settings: Any) -> sqs.Queue:
    kept = sqs.Queue(stack, "OwnDlq", fifo=fifo, retention_period=Duration.days(14))
    defaults: dict[str, Any] = {
        "visibility_timeout": Duration.seconds(60),
        "dead_letter_queue": sqs.DeadLetterQueue(queue=kept, max_receive_count=5),
    }
    return sqs.Queue(stack, "Own", fifo=fifo, **defaults | settings)


def test_a_topic_of_the_users_is_used_as_it_is(stack: Stack) -> None:
    topic = sns.Topic(stack, "Own", fifo=True)
    made = fanout(stack, topic=topic)
    subscribe(made)
    assert made.topic is topic
    template(stack).resource_count_is("AWS::SNS::Topic", 1)
    condition = statements_for_sns(stack, "AWS::SQS::QueuePolicy")[0]["Condition"]
    assert condition["ArnLike"] == {"aws:SourceArn": stack.resolve(topic.topic_arn)}


def test_an_imported_topic_delivers_from_its_own_account(stack: Stack) -> None:
    subscribe(fanout(stack, topic=sns.Topic.from_topic_arn(stack, "Imported", TOPIC_ARN)))
    condition = statements_for_sns(stack, "AWS::SQS::QueuePolicy")[0]["Condition"]
    assert condition == {
        "ArnLike": {"aws:SourceArn": TOPIC_ARN},
        "StringEquals": {"aws:SourceAccount": "111111111111"},
    }


@pytest.mark.parametrize("shared", [True, False])
def test_a_key_that_encrypts_the_users_topic_too_makes_no_circle(
    stack: Stack, *, shared: bool
) -> None:
    key = kms.Key(stack, "Key")
    own = sns.Topic(stack, "Own", fifo=True, master_key=key if shared else None)
    subscribe(fanout(stack, topic=own, encryption_key=key))
    (statement,) = statements_for_sns(stack, "AWS::KMS::Key")  # from_stack refuses a circle
    arn = statement["Condition"]["ArnLike"]["aws:SourceArn"]
    if shared:
        assert json.dumps(arn).endswith(':*"]]}')
    else:
        assert arn == stack.resolve(own.topic_arn)
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }


def test_a_queue_of_the_users_is_used_as_it_is(stack: Stack) -> None:
    queue = own_queue(stack, fifo=True)
    added = subscribe(fanout(stack), queue=queue)
    assert added.queue is queue
    assert added.dead_letter_queue.node.path == "Stack/OwnDlq"
    template(stack).resource_count_is("AWS::SQS::Queue", 3)


def test_the_key_of_the_users_queue_admits_sns(stack: Stack) -> None:
    queue = own_queue(stack, fifo=True, encryption_master_key=kms.Key(stack, "Key"))
    subscribe(fanout(stack), queue=queue)
    assert len(statements_for_sns(stack, "AWS::KMS::Key")) == 1


def test_an_imported_queue_is_used_with_a_warning_of_what_it_must_allow(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:prices.fifo"
    queue = sqs.Queue.from_queue_arn(stack, "Imported", arn)
    added = subscribe(fanout(stack), queue=queue)
    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("queue is imported.*sqs:SendMessage")
    )
    with pytest.raises(ValueError, match="imported"):
        added.metric_dead_letters()


def test_subscribers_may_share_a_delivery_dead_letter_queue(stack: Stack) -> None:
    made = fanout(stack)
    kept = sqs.Queue(stack, "Kept", fifo=True)
    subscribe(made, "First", delivery_dead_letter_queue=kept)
    subscribe(made, "Second", delivery_dead_letter_queue=kept)
    policies = {
        json.dumps(found["RedrivePolicy"]) for found in properties(stack, "AWS::SNS::Subscription")
    }
    assert len(policies) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"content_based_deduplication": True},
        {"fifo_throughput_scope": sns.FifoThroughputScope.TOPIC},
        {"message_retention_period_in_days": 7},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_own_topic_with_topic_settings_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    topic = sns.Topic(stack, "Own", fifo=True)
    with pytest.raises(ValueError, match=f"topic was given together with {next(iter(settings))}"):
        fanout(stack, topic=topic, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"visibility_timeout": Duration.minutes(5)},
        {"retention_period": Duration.days(1)},
        {"max_receive_count": 5},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_own_queue_with_queue_settings_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"queue was given together with {next(iter(settings))}"):
        subscribe(fanout(stack), queue=own_queue(stack, fifo=True), **settings)


def test_two_instances_fit_in_one_stack(stack: Stack) -> None:
    for construct_id in ("Prices", "Stock"):
        made = fanout(stack, construct_id)
        subscribe(made, consumer=function(stack, construct_id + "Consumer"))
    template(stack).resource_count_is("AWS::SNS::Topic", 2)
    names = [json.dumps(topic["TopicName"]) for topic in properties(stack, "AWS::SNS::Topic")]
    assert len(set(names)) == 2


# Configurations that plain CDK accepts and that would fail or lose events


def test_a_function_as_a_subscriber_is_refused_with_what_to_use(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"LAMBDA.*SQS queues only.*add_fifo_queue\(\)"):
        fanout(stack).topic.add_subscription(subscriptions.LambdaSubscription(function(stack)))


@pytest.mark.parametrize("url", ["http://example.com", "https://example.com"])
def test_a_web_address_as_a_subscriber_is_refused_with_what_to_use(stack: Stack, url: str) -> None:
    with pytest.raises(ValueError, match=r"HTTPS?, .*a consumer that calls it"):
        fanout(stack).topic.add_subscription(subscriptions.UrlSubscription(url))


def test_a_mailbox_as_a_subscriber_is_refused_with_what_to_use(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"EMAIL, .*standard topic"):
        fanout(stack).topic.add_subscription(subscriptions.EmailSubscription("a@example.com"))


def test_firehose_as_a_subscriber_is_refused_with_what_to_use(stack: Stack) -> None:
    import jsii

    @jsii.implements(sns.ITopicSubscription)
    class Firehose:
        def bind(self, topic: sns.ITopic) -> sns.TopicSubscriptionConfig:
            return sns.TopicSubscriptionConfig(
                protocol=sns.SubscriptionProtocol.FIREHOSE,
                endpoint="arn:aws:firehose:us-east-1:111111111111:deliverystream/one",
                subscriber_id="one",
            )

    with pytest.raises(ValueError, match=r"FIREHOSE.*add_queue\(\)"):
        fanout(stack).topic.add_subscription(Firehose())


def test_a_queue_may_be_subscribed_in_cdks_own_way_too(stack: Stack) -> None:
    fanout(stack).topic.add_subscription(subscriptions.SqsSubscription(sqs.Queue(stack, "Queue")))
    template(stack).resource_count_is("AWS::SNS::Subscription", 1)


def test_in_cdks_own_way_too_a_standard_dead_letter_queue_is_refused(stack: Stack) -> None:
    subscription = subscriptions.SqsSubscription(
        sqs.Queue(stack, "Queue", fifo=True), dead_letter_queue=sqs.Queue(stack, "Standard")
    )
    with pytest.raises(ValueError, match="needs a FIFO queue"):
        fanout(stack).topic.add_subscription(subscription)


def test_a_standard_topic_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Stack/Own is a standard topic"):
        fanout(stack, topic=sns.Topic(stack, "Own"))


@pytest.mark.parametrize(
    ("method", "fifo", "instead"),
    [("add_fifo_queue", None, "add_queue"), ("add_queue", True, "add_fifo_queue")],
)
def test_a_queue_of_the_other_type_is_refused(
    stack: Stack, method: str, fifo: bool | None, instead: str
) -> None:
    queue = own_queue(stack, fifo=fifo)
    with pytest.raises(ValueError, match=rf"Add it with {instead}\(\)"):
        subscribe(fanout(stack), method=method, queue=queue)


@pytest.mark.parametrize("method", METHODS)
def test_a_standard_queue_for_what_cannot_be_delivered_is_refused(
    stack: Stack, method: str
) -> None:
    kept = sqs.Queue(stack, "Kept")
    with pytest.raises(ValueError, match="delivery_dead_letter_queue Stack/Kept is a standard"):
        subscribe(fanout(stack), method=method, delivery_dead_letter_queue=kept)


def test_a_queue_with_the_aws_managed_key_is_refused(stack: Stack) -> None:
    managed = sqs.QueueEncryption.KMS_MANAGED
    with pytest.raises(ValueError, match=r"queue Stack/Own is encrypted with the AWS managed key"):
        subscribe(fanout(stack), queue=own_queue(stack, fifo=True, encryption=managed))
    kept = sqs.Queue(stack, "Kept", fifo=True, encryption=managed)
    with pytest.raises(ValueError, match=r"delivery_dead_letter_queue Stack/Kept is encrypted"):
        subscribe(fanout(stack, "Other"), "Two", delivery_dead_letter_queue=kept)


def test_two_filters_on_one_subscription_are_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="both given"):
        subscribe(
            fanout(stack),
            filter_policy={"channels": WHOLESALE},
            filter_policy_with_message_body={"channels": sns.FilterOrPolicy.filter(WHOLESALE)},
        )


@pytest.mark.parametrize(("days", "accepted"), [(0, False), (1, True), (365, True), (366, False)])
def test_an_archive_of_less_than_a_day_or_more_than_a_year_is_refused(
    stack: Stack, days: int, accepted: bool
) -> None:
    def make() -> object:
        key = kms.Key(stack, "Key")
        return fanout(stack, message_retention_period_in_days=days, encryption_key=key)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match=f"is {days}, allowed is 1 to 365"):
            make()


def test_an_archive_whose_days_only_deployment_knows_is_accepted(stack: Stack) -> None:
    days = CfnParameter(stack, "Days", type="Number", default=7).value_as_number
    key = kms.Key(stack, "Key")
    fanout(stack, encryption_key=key, message_retention_period_in_days=days)
    assert only(stack, "AWS::SNS::Topic")["ArchivePolicy"] == {
        "MessageRetentionPeriod": {"Ref": "Days"}
    }


def test_an_archive_without_a_customer_key_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="is 7 without encryption_key"):
        fanout(stack, message_retention_period_in_days=7)


def test_a_replay_without_an_archive_is_refused(stack: Stack) -> None:
    start = datetime(2026, 11, 21, tzinfo=UTC)
    with pytest.raises(ValueError, match="keeps no archive"):
        subscribe(fanout(stack), replay_from=start)
    own = sns.Topic(stack, "Own", fifo=True)
    with pytest.raises(ValueError, match="keeps no archive"):
        subscribe(fanout(stack, "WithOwn", topic=own), "Two", replay_from=start)
    archived = sns.Topic(stack, "Archived", fifo=True, message_retention_period_in_days=1)
    assert subscribe(fanout(stack, "Own1", topic=archived), "Three", replay_from=start)
    imported = sns.Topic.from_topic_arn(stack, "Imported", TOPIC_ARN)
    assert subscribe(fanout(stack, "Own2", topic=imported), "Four", replay_from=start)


def test_a_replay_without_a_time_zone_is_refused(stack: Stack) -> None:
    made = fanout(stack, message_retention_period_in_days=7, encryption_key=kms.Key(stack, "Key"))
    with pytest.raises(ValueError, match="2026-11-21T00:00:00 without a time zone"):
        subscribe(made, replay_from=datetime(2026, 11, 21))


def test_a_queue_without_a_dead_letter_queue_is_refused(stack: Stack) -> None:
    queue = own_queue(stack, fifo=True, dead_letter_queue=None)
    with pytest.raises(ValueError, match="no dead-letter queue"):
        subscribe(fanout(stack), queue=queue)


def test_a_fifo_queue_with_a_standard_dead_letter_queue_is_refused(stack: Stack) -> None:
    kept = sqs.Queue(stack, "Standard", retention_period=Duration.days(14))
    letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    with pytest.raises(ValueError, match="must be of the same type"):
        subscribe(fanout(stack), queue=own_queue(stack, fifo=True, dead_letter_queue=letters))


@pytest.mark.parametrize(("seconds", "accepted"), [(10, False), (59, False), (60, True)])
def test_a_visibility_timeout_below_six_times_the_functions_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        return subscribe(fanout(stack), visibility_timeout=Duration.seconds(seconds))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="needs at least 60 s"):
            make()


@pytest.mark.parametrize(("seconds", "accepted"), [(59, False), (60, True)])
def test_an_own_queue_with_a_short_visibility_timeout_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    queue = own_queue(stack, fifo=True, visibility_timeout=Duration.seconds(seconds))
    if accepted:
        assert subscribe(fanout(stack), queue=queue)
    else:
        with pytest.raises(ValueError, match="needs at least 60 s"):
            subscribe(fanout(stack), queue=queue)


@pytest.mark.parametrize(("days", "accepted"), [(13, True), (14, False)])
def test_a_standard_queue_that_outlives_its_dead_letter_queue_is_refused(
    stack: Stack, days: int, accepted: bool
) -> None:
    def make() -> object:
        period = Duration.days(days)
        return subscribe(fanout(stack), method="add_queue", retention_period=period)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="would expire there early"):
            make()


@pytest.mark.parametrize(("receives", "accepted"), [(4, False), (5, True), (1001, False)])
def test_too_few_receives_before_dead_lettering_are_refused(
    stack: Stack, receives: int, accepted: bool
) -> None:
    def make() -> object:
        return subscribe(fanout(stack), max_receive_count=receives)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="allowed is 5 to 1000"):
            make()


@pytest.mark.parametrize(("reserved", "accepted"), [(9, False), (10, True), (None, True)])
def test_a_reserved_concurrency_below_the_mappings_is_refused(
    stack: Stack, reserved: int | None, accepted: bool
) -> None:
    consumer = function(stack, reserved_concurrent_executions=reserved)

    def make() -> object:
        return subscribe(fanout(stack), consumer=consumer, max_concurrency=10)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="reserves only 9"):
            make()


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("add_fifo_queue", {"batch_size": 11}, "allowed is 1 to 10"),
        ("add_queue", {"batch_size": 11}, "allowed is 1 to 10.*with max_batching_window"),
        (
            "add_queue",
            {"batch_size": 10_001, "max_batching_window": Duration.seconds(1)},
            "allowed is 1 to 10000",
        ),
        ("add_queue", {"max_batching_window": Duration.seconds(301)}, "allowed is 1 to 300 s"),
        ("add_fifo_queue", {"max_concurrency": 1}, "allowed is 2 to 1000"),
    ],
)
def test_a_mapping_that_lambda_would_refuse_is_refused(
    stack: Stack, method: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        subscribe(fanout(stack), method=method, **settings)


def test_an_imported_consumer_needs_a_visibility_timeout(stack: Stack) -> None:
    consumer = lambda_.Function.from_function_attributes(
        stack,
        "Imported",
        function_arn="arn:aws:lambda:us-east-1:111111111111:function:consumer",
        role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/consumer"),
        same_environment=True,
    )
    made = fanout(stack)
    with pytest.raises(ValueError, match="imported, so its timeout is not known"):
        subscribe(made, consumer=consumer)
    assert subscribe(made, "Given", consumer=consumer, visibility_timeout=Duration.minutes(3))


def test_a_disabled_key_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        fanout(stack, encryption_key=key)
    topic = sns.Topic(stack, "Own", fifo=True, master_key=key)
    with pytest.raises(ValueError, match="key of Stack/Own is Stack/Key, which is disabled"):
        fanout(stack, "Other", topic=topic)
    kept = sqs.Queue(stack, "Kept", fifo=True, encryption_master_key=key)
    with pytest.raises(ValueError, match="key of Stack/Kept is Stack/Key, which is disabled"):
        subscribe(fanout(stack, "Third"), delivery_dead_letter_queue=kept)


def test_the_alias_of_a_key_that_aws_manages_is_refused(stack: Stack) -> None:
    key = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sqs")
    with pytest.raises(ValueError, match="encryption_key is alias/aws/sqs, which AWS manages"):
        fanout(stack, encryption_key=key)
    queue = own_queue(stack, fifo=True, encryption_master_key=key)
    with pytest.raises(ValueError, match="queue Stack/Own is encrypted with the AWS managed key"):
        subscribe(fanout(stack, "Other"), queue=queue)


def test_a_queue_that_would_take_what_cannot_be_delivered_to_itself_is_refused(
    stack: Stack,
) -> None:
    queue = own_queue(stack, fifo=True)
    with pytest.raises(ValueError, match="Stack/Own is the subscribed queue itself"):
        subscribe(fanout(stack), queue=queue, delivery_dead_letter_queue=queue)


@pytest.mark.parametrize(("seconds", "accepted"), [(300, False), (301, True)])
def test_a_queue_that_deletes_before_it_dead_letters_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        period = Duration.seconds(seconds)
        age = Duration.minutes(1)
        return subscribe(fanout(stack), retention_period=period, max_message_age=age)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="deleted before it is dead-lettered"):
            make()


def test_no_receive_at_all_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="max_receive_count is 0"):
        subscribe(fanout(stack), max_receive_count=0)


def test_subscribers_that_together_call_more_than_their_consumer_may_run_are_refused(
    stack: Stack,
) -> None:
    made, consumer = fanout(stack), function(stack, reserved_concurrent_executions=10)
    subscribe(made, "First", consumer=consumer, max_concurrency=6)
    subscribe(made, "Second", consumer=consumer, max_concurrency=4)
    with pytest.raises(ValueError, match="its other mappings 10"):
        subscribe(made, "Third", consumer=consumer, max_concurrency=2)


REPLAY = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_replay_of_an_archive_that_sns_cannot_read_is_refused(stack: Stack) -> None:
    managed = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns")
    own = sns.Topic(stack, "Own", fifo=True, message_retention_period_in_days=7, master_key=managed)
    with pytest.raises(ValueError, match=r"archive is encrypted with alias/aws/sns"):
        subscribe(fanout(stack, topic=own), replay_from=REPLAY)


def test_sns_may_read_the_archive_of_a_topic_of_the_users(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    own = sns.Topic(stack, "Own", fifo=True, message_retention_period_in_days=7, master_key=key)
    subscribe(fanout(stack, topic=own), replay_from=REPLAY)
    (statement,) = statements_for_sns(stack, "AWS::KMS::Key")
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


# What is imported is used with a warning of what it needs


def warned(stack: Stack, pattern: str, path: str = "/Stack/Theirs") -> None:
    Annotations.from_stack(stack).has_warning(path, Match.string_like_regexp(pattern))


def test_an_imported_topic_is_told_what_it_needs(stack: Stack) -> None:
    topic = sns.Topic.from_topic_arn(stack, "Theirs", TOPIC_ARN)
    made = fanout(stack, topic=topic)
    warned(stack, "imported.*deduplication id.*key_arn")
    subscribe(made, replay_from=REPLAY)
    warned(stack, "archive cannot be checked.*2026-11-21T00:00:00")


def test_an_imported_queue_for_what_cannot_be_delivered_is_told_what_it_needs(
    stack: Stack,
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:kept.fifo"
    kept = sqs.Queue.from_queue_arn(stack, "Theirs", arn)
    subscribe(fanout(stack), delivery_dead_letter_queue=kept)
    warned(stack, "retention period cannot be checked.*key_arn")
    warned(stack, "sqs:SendMessage.*not be encrypted with the AWS managed key")


def test_an_imported_key_is_told_that_it_must_be_enabled(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:us-east-1:111111111111:key/1")
    fanout(stack, encryption_key=key)
    warned(stack, "enabled and symmetric")
