"""The promises of the construct beyond those of every queue, topic, consumer and alarm."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsii
import pytest
from aws_cdk import App, CfnParameter, Duration, NestedStack, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.sns_fifo_fanout.construct import (
    Alarms,
    NewQueue,
    NewTopic,
    SnsFifoFanout,
    Subscription,
)
from tests.inline import function
from tests.sns_fifo_fanout.builds import subscribe

if TYPE_CHECKING:
    from serverless_patterns.patterns.blocks.topics import QueueSubscriber

TOPIC_ARN = "arn:aws:sns:us-east-1:111111111111:prices.fifo"
QUEUE_ARN = "arn:aws:sqs:us-east-1:111111111111:kept.fifo"
WHOLESALE = sns.SubscriptionFilter.string_filter(allowlist=["wholesale"])
BY_BODY = {"channels": sns.FilterOrPolicy.filter(WHOLESALE)}
REPLAY = datetime(2026, 11, 21, 8, tzinfo=UTC)
METHODS = ("add_fifo_queue", "add_queue")


class Made:
    """A fan-out with one subscriber of each method, and its template, made once."""

    def __init__(self, *, key: bool = False) -> None:
        self.stack = Stack(App(), "Stack")
        self.key = kms.Key(self.stack, "Key") if key else None
        self.fanout = SnsFifoFanout(self.stack, "Fanout", topic=NewTopic(encryption_key=self.key))
        self.consumers = [function(self.stack, "A"), function(self.stack, "B")]
        self.ordered = self.fanout.add_fifo_queue("Ordered", consumer=self.consumers[0])
        self.batched = self.fanout.add_queue("Batched", consumer=self.consumers[1])
        self.publisher = iam.Role(self.stack, "Role", assumed_by=iam.AccountRootPrincipal())
        self.fanout.grant_publish(self.publisher)
        self.key_arn = self.resolve(self.key.key_arn) if self.key else None
        self.template = Template.from_stack(self.stack)

    def resolve(self, value: Any) -> Any:
        return self.stack.resolve(value)

    def of_role(self, role: Any) -> list[dict[str, Any]]:
        """The statements of a role's policy."""
        name = self.resolve(role.role_name)
        found = properties(self.template, "AWS::IAM::Policy")
        return [s for p in found if name in p["Roles"] for s in p["PolicyDocument"]["Statement"]]


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module")
def keyed() -> Made:
    return Made(key=True)


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def properties(template: Template, kind: str) -> list[dict[str, Any]]:
    return [found.get("Properties", {}) for found in template.find_resources(kind).values()]


def only(stack: Stack, kind: str) -> dict[str, Any]:
    (found,) = properties(Template.from_stack(stack), kind)
    return found


def statements_for_sns(template: Template, kind: str) -> list[dict[str, Any]]:
    """The statements of resource policies that allow SNS."""
    document = "KeyPolicy" if kind == "AWS::KMS::Key" else "PolicyDocument"
    return [
        statement
        for policy in properties(template, kind)
        for statement in policy[document]["Statement"]
        if statement["Principal"] == {"Service": "sns.amazonaws.com"}
    ]


def fifo_queue(stack: Stack, **settings: Any) -> sqs.Queue:
    kept = sqs.Queue(stack, "OwnDlq", fifo=True)
    letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    defaults: dict[str, Any] = {
        "visibility_timeout": Duration.minutes(1),
        "dead_letter_queue": letters,
    }
    return sqs.Queue(stack, "Own", fifo=True, **defaults | settings)


def warned(stack: Stack, pattern: str, path: str = "/Stack/Theirs") -> None:
    Annotations.from_stack(stack).has_warning(path, Match.string_like_regexp(pattern))


# The topic


def test_the_topic_is_fifo_and_deduplicates_within_the_message_group(made: Made) -> None:
    (topic,) = properties(made.template, "AWS::SNS::Topic")
    assert topic["FifoTopic"] is True
    assert topic["FifoThroughputScope"] == "MessageGroup"
    assert "ContentBasedDeduplication" not in topic
    assert "ArchivePolicy" not in topic


def test_the_topics_deduplication_and_archive_are_a_choice(stack: Stack) -> None:
    settings = NewTopic(
        content_based_deduplication=True,
        fifo_throughput_scope=sns.FifoThroughputScope.TOPIC,
        message_retention_period_in_days=30,
        encryption_key=kms.Key(stack, "Key"),
    )
    SnsFifoFanout(stack, "Fanout", topic=settings)
    topic = only(stack, "AWS::SNS::Topic")
    assert topic["ContentBasedDeduplication"] is True
    assert topic["FifoThroughputScope"] == "Topic"
    assert topic["ArchivePolicy"] == {"MessageRetentionPeriod": 30}


def test_the_topics_name_is_unique_to_the_stack(made: Made) -> None:
    (topic,) = properties(made.template, "AWS::SNS::Topic")
    name = json.dumps(topic["TopicName"])
    assert '{"Ref": "AWS::StackId"}' in name
    assert "StackFanout" in name
    assert '".fifo"' in name


def test_topic_and_queues_are_encrypted_without_a_key_of_ones_own(made: Made) -> None:
    (topic,) = properties(made.template, "AWS::SNS::Topic")
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"
    queues = properties(made.template, "AWS::SQS::Queue")
    assert [queue["SqsManagedSseEnabled"] for queue in queues] == [True] * 6
    made.template.resource_count_is("AWS::KMS::Key", 0)


def test_grant_publish_allows_publishing_to_this_topic_alone(made: Made) -> None:
    arn = made.resolve(made.fanout.topic.topic_arn)
    assert made.of_role(made.publisher) == [
        {"Action": "sns:Publish", "Effect": "Allow", "Resource": arn}
    ]


def test_grant_publish_allows_the_topics_customer_key(keyed: Made) -> None:
    (on_key,) = [s for s in keyed.of_role(keyed.publisher) if s["Resource"] == keyed.key_arn]
    assert set(on_key["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}


# Who may deliver


def test_only_sns_for_this_topic_of_this_account_may_deliver(made: Made) -> None:
    allowed = statements_for_sns(made.template, "AWS::SQS::QueuePolicy")
    queues = [
        made.resolve(queue.queue_arn)
        for one in made.fanout.subscribers
        for queue in (one.queue, one.delivery_dead_letter_queue)
    ]
    assert sorted(map(str, queues)) == sorted(str(s["Resource"]) for s in allowed)
    for statement in allowed:
        assert statement["Action"] == "sqs:SendMessage"
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        assert list(condition["ArnLike"]) == ["aws:SourceArn"]
        arn = json.dumps(condition["ArnLike"]["aws:SourceArn"])
        assert ":sns:" in arn
        assert "*" not in arn
        assert '"Fn::Join": ["-", ["StackFanout' in arn


def test_a_subscription_waits_for_the_permissions_to_deliver(made: Made) -> None:
    policies = made.template.find_resources("AWS::SQS::QueuePolicy")
    allowing = {name for name, found in policies.items() if "sns.amazonaws" in json.dumps(found)}
    waits = [
        allowing.intersection(found["DependsOn"])
        for found in made.template.find_resources("AWS::SNS::Subscription").values()
    ]
    assert [len(names) for names in waits] == [2, 2]
    assert set.union(*waits) == allowing


def test_a_customer_key_encrypts_everything(keyed: Made) -> None:
    for kind, count in (("AWS::SNS::Topic", 1), ("AWS::SQS::Queue", 6)):
        found = properties(keyed.template, kind)
        assert [resource["KmsMasterKeyId"] for resource in found] == [keyed.key_arn] * count


def test_a_customer_key_allows_sns_for_this_topic_of_this_account_and_no_more(keyed: Made) -> None:
    (statement,) = statements_for_sns(keyed.template, "AWS::KMS::Key")
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    on_queue = statements_for_sns(keyed.template, "AWS::SQS::QueuePolicy")[0]
    assert statement["Condition"] == on_queue["Condition"]
    (key,) = properties(keyed.template, "AWS::KMS::Key")
    assert len(key["KeyPolicy"]["Statement"]) == 2


def test_the_consumer_may_decrypt_with_the_customer_key(keyed: Made) -> None:
    decrypt = {"Action": "kms:Decrypt", "Effect": "Allow", "Resource": keyed.key_arn}
    for consumer in keyed.consumers:
        assert decrypt in keyed.of_role(consumer.role)


def test_a_queues_own_key_encrypts_it_and_what_sns_could_not_deliver_into_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    subscribe(stack, queue=NewQueue(encryption_key=key))
    arn = stack.resolve(key.key_arn)
    template = Template.from_stack(stack)
    encrypted = [queue["KmsMasterKeyId"] for queue in properties(template, "AWS::SQS::Queue")]
    assert encrypted == [arn] * 3
    assert len(statements_for_sns(template, "AWS::KMS::Key")) == 1


@pytest.mark.parametrize("nested", [False, True])
def test_a_policy_in_another_stack_names_the_topic_of_this_one(nested: bool) -> None:
    """``AWS::StackId`` there would be that stack's own: no topic would have such an ARN."""
    app = App()
    other = Stack(app, "Other")
    here = NestedStack(other, "Nested") if nested else Stack(app, "Stack")
    topic = NewTopic(encryption_key=kms.Key(other, "Key"))
    subscribe(here, topic=topic, queue=fifo_queue(other))
    template = Template.from_stack(other)
    found = statements_for_sns(template, "AWS::KMS::Key")
    found += statements_for_sns(template, "AWS::SQS::QueuePolicy")
    assert len(found) == 2
    for statement in found:
        arn = json.dumps(statement["Condition"]["ArnLike"]["aws:SourceArn"])
        assert "AWS::StackId" not in arn
        assert re.search(r"Fanout[^\"]*-\*\.fifo", arn)


# Subscribers


@pytest.mark.parametrize(("name", "fifo"), [("ordered", True), ("batched", None)])
def test_each_subscriber_has_a_queue_two_dead_letter_queues_and_a_consumer(
    made: Made, name: str, fifo: bool | None
) -> None:
    one: QueueSubscriber = getattr(made, name)
    queues = made.template.find_resources("AWS::SQS::Queue")
    for queue, expected in (
        (one.queue, fifo),
        (one.dead_letter_queue, fifo),
        (one.delivery_dead_letter_queue, True),  # whatever the subscribed queue is
    ):
        logical_id = made.resolve(queue.queue_arn)["Fn::GetAtt"][0]
        assert queues[logical_id]["Properties"].get("FifoQueue") is expected
    made.template.has_resource_properties(
        "AWS::Lambda::EventSourceMapping", {"EventSourceArn": made.resolve(one.queue.queue_arn)}
    )
    assert made.fanout.subscribers == [made.ordered, made.batched]


def test_what_sns_cannot_deliver_is_kept_for_14_days(made: Made) -> None:
    queues = made.template.find_resources("AWS::SQS::Queue")
    targets = [
        subscription["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for subscription in properties(made.template, "AWS::SNS::Subscription")
    ]
    kept = [
        made.resolve(one.delivery_dead_letter_queue.queue_arn) for one in made.fanout.subscribers
    ]
    assert sorted(targets) == sorted(arn["Fn::GetAtt"][0] for arn in kept)
    for target in targets:
        assert queues[target]["Properties"]["MessageRetentionPeriod"] == 14 * 86_400


def test_fifo_queues_are_in_high_throughput_mode(made: Made) -> None:
    made.template.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "FifoThroughputLimit": "perMessageGroupId",
            "DeduplicationScope": "messageGroup",
            "RedrivePolicy": Match.object_like({"maxReceiveCount": 5}),
        },
    )


# Alarms


def test_alarms_watch_the_topic_and_each_subscriber(made: Made) -> None:
    topic = made.resolve(made.fanout.topic.topic_name)
    expected = [
        ("NumberOfNotificationsFailed", topic, 0, 5),
        ("NumberOfNotificationsRedrivenToDlq", topic, 0, 1),
        ("NumberOfNotificationsFailedToRedriveToDlq", topic, 0, 1),
        ("NumberOfNotificationsFilteredOut-InvalidAttributes", topic, 0, 1),
        ("NumberOfNotificationsFilteredOut-InvalidMessageBody", topic, 0, 1),
    ]
    for one in made.fanout.subscribers:
        expected.append(
            ("ApproximateAgeOfOldestMessage", made.resolve(one.queue.queue_name), 900, 15)
        )
        for kept in (one.dead_letter_queue, one.delivery_dead_letter_queue):
            name = made.resolve(kept.queue_name)
            expected.append(("ApproximateNumberOfMessagesVisible", name, 0, 1))
    alarms = properties(made.template, "AWS::CloudWatch::Alarm")
    found = [
        (a["MetricName"], a["Dimensions"][0]["Value"], a["Threshold"], a["EvaluationPeriods"])
        for a in alarms
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert len(made.fanout.alarms) == len(expected)
    for alarm in alarms:
        assert len(alarm["Dimensions"]) == 1
        assert alarm["Namespace"] in ("AWS/SNS", "AWS/SQS")
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["Period"] == 60


def test_a_subscribers_alarm_may_ring_earlier_than_the_fanouts(stack: Stack) -> None:
    fanout = SnsFifoFanout(stack, "Fanout", alarms=Alarms(max_age=Duration.minutes(10)))
    for name, alarms in (("Usual", None), ("Urgent", Alarms(max_age=Duration.minutes(3)))):
        fanout.add_queue(name, consumer=function(stack, f"{name}Consumer"), alarms=alarms)
    found = properties(Template.from_stack(stack), "AWS::CloudWatch::Alarm")
    ages = [a["Threshold"] for a in found if a["MetricName"] == "ApproximateAgeOfOldestMessage"]
    assert sorted(ages) == [180, 600]


def test_metrics_are_of_the_right_resource(made: Made) -> None:
    fanout, one = made.fanout, made.ordered
    assert fanout.metric_number_of_messages_published().metric_name == "NumberOfMessagesPublished"
    failed = fanout.metric_number_of_notifications_failed()
    assert failed.metric_name == "NumberOfNotificationsFailed"
    for metric, queue in (
        (one.metric_approximate_age_of_oldest_message(), one.queue),
        (one.metric_dead_letters(), one.dead_letter_queue),
        (one.metric_undelivered(), one.delivery_dead_letter_queue),
    ):
        assert metric.dimensions == {"QueueName": queue.queue_name}


# Bring your own


def test_a_topic_of_your_own_is_used_as_it_is(stack: Stack) -> None:
    topic = sns.Topic(stack, "Own", fifo=True)
    made = SnsFifoFanout(stack, "Fanout", topic=topic)
    made.add_fifo_queue("One", consumer=function(stack))
    assert made.topic is topic
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SNS::Topic", 1)
    condition = statements_for_sns(template, "AWS::SQS::QueuePolicy")[0]["Condition"]
    assert condition["ArnLike"] == {"aws:SourceArn": stack.resolve(topic.topic_arn)}


def test_an_imported_topic_delivers_from_its_own_account_and_is_told_what_it_needs(
    stack: Stack,
) -> None:
    topic = sns.Topic.from_topic_arn(stack, "Theirs", TOPIC_ARN)
    subscribe(stack, topic=topic, subscription=Subscription(replay_from=REPLAY))
    found = statements_for_sns(Template.from_stack(stack), "AWS::SQS::QueuePolicy")
    assert found[0]["Condition"] == {
        "ArnLike": {"aws:SourceArn": TOPIC_ARN},
        "StringEquals": {"aws:SourceAccount": "111111111111"},
    }
    warned(stack, "imported.*deduplication id.*key_arn")
    warned(stack, "archive cannot be checked.*2026-11-21T08:00:00")


def test_a_fifo_queue_of_your_own_is_used_and_its_key_allows_sns(stack: Stack) -> None:
    queue = fifo_queue(stack, encryption_master_key=kms.Key(stack, "Key"))
    made = subscribe(stack, queue=queue)
    assert (made.queue, made.dead_letter_queue.node.path) == (queue, "Stack/OwnDlq")
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SQS::Queue", 3)
    assert len(statements_for_sns(template, "AWS::KMS::Key")) == 1


def test_an_imported_key_is_told_what_it_must_allow(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:us-east-1:111111111111:key/1")
    SnsFifoFanout(stack, "Fanout", topic=NewTopic(encryption_key=key))
    warned(stack, "enabled and symmetric")
    warned(stack, "key is imported.*kms:Decrypt and kms:GenerateDataKey to sns.amazonaws.com")


# Configurations that plain CDK accepts and that would fail or lose events


@jsii.implements(sns.ITopicSubscription)
class Firehose:
    def bind(self, topic: sns.ITopic) -> sns.TopicSubscriptionConfig:
        return sns.TopicSubscriptionConfig(
            protocol=sns.SubscriptionProtocol.FIREHOSE,
            endpoint="arn:aws:firehose:us-east-1:111111111111:deliverystream/one",
            subscriber_id="one",
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda stack: subscriptions.LambdaSubscription(function(stack)),
            r"protocol lambda.*SQS queues only.*consumer, with add_fifo_queue\(\)",
        ),
        (
            lambda _: subscriptions.UrlSubscription("http://example.com"),
            "protocol http,.*in its consumer",
        ),
        (
            lambda _: subscriptions.UrlSubscription("https://example.com"),
            "protocol https,.*in its consumer",
        ),
        (
            lambda _: subscriptions.EmailSubscription("a@example.com"),
            "protocol email,.*standard topic",
        ),
        (lambda _: Firehose(), r"protocol firehose.*add_queue\(\)"),
    ],
    ids=["function", "http", "https", "mail", "firehose"],
)
def test_a_subscriber_that_is_no_queue_is_rejected_with_what_to_use(
    stack: Stack, make: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SnsFifoFanout(stack, "Fanout").topic.add_subscription(make(stack))


def test_a_queue_may_be_subscribed_in_cdks_own_way_too(stack: Stack) -> None:
    topic = SnsFifoFanout(stack, "Fanout").topic
    topic.add_subscription(subscriptions.SqsSubscription(sqs.Queue(stack, "Queue")))
    lossy = subscriptions.SqsSubscription(
        sqs.Queue(stack, "Other", fifo=True), dead_letter_queue=sqs.Queue(stack, "Standard")
    )
    with pytest.raises(ValueError, match="kept by a FIFO queue only"):
        topic.add_subscription(lossy)
    Template.from_stack(stack).resource_count_is("AWS::SNS::Subscription", 1)


def test_an_archive_that_sns_cannot_replay_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="is 7 without encryption_key"):
        NewTopic(message_retention_period_in_days=7)
    with pytest.raises(ValueError, match="is 366, allowed is 1 to 365"):
        NewTopic(message_retention_period_in_days=366, encryption_key=kms.Key(stack, "Key"))


def test_a_standard_topic_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="Stack/Own is a standard topic"):
        SnsFifoFanout(stack, "Fanout", topic=sns.Topic(stack, "Own"))


@pytest.mark.parametrize(
    ("method", "make", "message"),
    [
        ("add_fifo_queue", lambda stack: sqs.Queue(stack, "Own"), r"standard.*add_queue\(\)"),
        ("add_queue", fifo_queue, r"Stack/Own is a FIFO.*add_fifo_queue\(\)"),
        ("add_queue", lambda _: NewQueue(fifo=True), r"new queue is a FIFO.*add_fifo_queue\(\)"),
    ],
    ids=["standard", "fifo", "new-fifo"],
)
def test_a_queue_of_the_other_type_is_rejected(
    stack: Stack, method: str, make: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        subscribe(stack, method=method, queue=make(stack))


def test_a_key_that_encrypts_nothing_or_that_sns_may_not_use_is_rejected(stack: Stack) -> None:
    managed = kms.Alias.from_alias_name(stack, "Managed", "alias/aws/sqs")
    with pytest.raises(ValueError, match=r"alias/aws/sqs.*cannot allow sns\.amazonaws\.com"):
        NewTopic(encryption_key=managed)
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        NewTopic(encryption_key=key)
    with pytest.raises(ValueError, match="key of Stack/Own is Stack/Key, which is disabled"):
        subscribe(stack, topic=sns.Topic(stack, "Own", fifo=True, master_key=key))
    kept = sqs.Queue(stack, "Kept", fifo=True, encryption_master_key=key)
    with pytest.raises(ValueError, match="key of Stack/Kept is Stack/Key, which is disabled"):
        subscribe(stack, "Third", subscription=Subscription(dead_letter_queue=kept))


def test_an_archive_whose_days_only_deployment_knows_is_accepted(stack: Stack) -> None:
    days = CfnParameter(stack, "Days", type="Number", default=7).value_as_number
    topic = NewTopic(message_retention_period_in_days=days, encryption_key=kms.Key(stack, "Key"))
    SnsFifoFanout(stack, "Fanout", topic=topic)
    archive = only(stack, "AWS::SNS::Topic")["ArchivePolicy"]
    assert archive == {"MessageRetentionPeriod": {"Ref": "Days"}}
