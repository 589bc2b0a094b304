"""What every construct that publishes to subscribers promises of its topic and of deliveries."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Environment, Fn, NestedStack, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.subscriptions import Subscription
from tests.contracts.builds import Build, every_build, texts
from tests.inline import function, properties, rejected, warned

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:sns:us-east-1:111111111111:theirs"
OF_THIS_ACCOUNT = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
# Metric, and periods of a minute in a row.
ON_THE_TOPIC = {
    "NumberOfNotificationsFailed": 5,
    "NumberOfNotificationsRedrivenToDlq": 1,
    "NumberOfNotificationsFailedToRedriveToDlq": 1,
    "NumberOfNotificationsFilteredOut-InvalidAttributes": 1,
    "NumberOfNotificationsFilteredOut-InvalidMessageBody": 1,
}


class Made:
    """A fan-out with a publisher and, if ``keyed``, a customer key; and its template."""

    def __init__(self, build: Build, *, keyed: bool = False) -> None:
        self.stack = Stack(App(), "Stack")
        key = kms.Key(self.stack, "Key") if keyed else None
        self.fanout = build.make(self.stack, "Fanout", key=key)
        publisher = iam.Role(self.stack, "Role", assumed_by=iam.AccountRootPrincipal())
        self.fanout.grant_publish(publisher)
        self.key = self.stack.resolve(key.key_arn) if key else None
        role = self.stack.resolve(publisher.role_name)
        (policy,) = [p for p in self.all("IAM::Policy") if role in p["Roles"]]
        self.of_publisher = policy["PolicyDocument"]["Statement"]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The properties of the resources of one type."""
        return properties(self.stack, kind)

    def for_sns(self, kind: str, document: str = "PolicyDocument") -> list[dict[str, Any]]:
        """The statements of resource policies that allow SNS."""
        found = [s for policy in self.all(kind) for s in policy[document]["Statement"]]
        return [s for s in found if s["Principal"] == {"Service": "sns.amazonaws.com"}]


made = functools.cache(Made)


def own_topic(stack: Stack, build: Build, **settings: Any) -> sns.Topic:
    return sns.Topic(stack, "Own", fifo="fifo" in build.slug or None, **settings)


@every_build("topic")
def test_grant_publish_allows_this_topic_alone_and_its_customer_key(build: Build) -> None:
    arn = made(build).stack.resolve(made(build).fanout.topic.topic_arn)
    publish = {"Action": "sns:Publish", "Effect": "Allow", "Resource": arn}
    assert made(build).of_publisher == [publish]
    keyed = made(build, keyed=True)
    (on_key,) = [s for s in keyed.of_publisher if s["Resource"] == keyed.key]
    assert set(on_key["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}


@every_build("topic")
def test_only_sns_for_this_topic_of_this_account_may_deliver(build: Build) -> None:
    stack, fanout = made(build).stack, made(build).fanout
    allowed = made(build).for_sns("SQS::QueuePolicy")
    queues = [q for one in fanout.subscribers for q in (one.queue, one.delivery_dead_letter_queue)]
    arns = [str(stack.resolve(queue.queue_arn)) for queue in queues]
    assert sorted(arns) == sorted(str(s["Resource"]) for s in allowed)
    (topic,) = made(build).all("SNS::Topic")
    for statement in allowed:
        assert statement["Action"] == "sqs:SendMessage"
        assert statement["Condition"]["StringEquals"] == OF_THIS_ACCOUNT
        (arn,) = statement["Condition"]["ArnLike"].values()
        names_it = "TopicName" in topic and texts(topic["TopicName"]) <= texts(arn)
        assert names_it or arn == stack.resolve(fanout.topic.topic_arn)
        assert "*" not in str(arn)


@every_build("topic")
def test_topic_and_queues_are_encrypted_by_aws_or_by_a_customer_key(build: Build) -> None:
    (topic,) = made(build).all("SNS::Topic")
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"
    assert {queue["SqsManagedSseEnabled"] for queue in made(build).all("SQS::Queue")} == {True}
    assert not made(build).all("KMS::Key")
    keyed = made(build, keyed=True)
    for kind in ("SNS::Topic", "SQS::Queue"):
        assert {found["KmsMasterKeyId"] == keyed.key for found in keyed.all(kind)} == {True}


@every_build("topic")
def test_a_customer_key_allows_sns_for_this_topic_of_this_account_and_no_more(build: Build) -> None:
    keyed = made(build, keyed=True)
    (statement,) = keyed.for_sns("KMS::Key", "KeyPolicy")
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    condition = statement["Condition"]
    assert condition["StringEquals"] == OF_THIS_ACCOUNT
    on_queue = keyed.for_sns("SQS::QueuePolicy")[0]["Condition"]
    # A key's policy cannot refer to a topic that it encrypts, unless the name is known before.
    some = "fifo" not in build.slug and ":sns:" in str(condition["ArnLike"]["aws:SourceArn"])
    assert condition == on_queue or some
    (key,) = keyed.all("KMS::Key")
    assert len(key["KeyPolicy"]["Statement"]) == 2


@every_build("topic")
def test_alarms_watch_the_topic_and_each_subscriber(build: Build) -> None:
    stack, fanout = made(build).stack, made(build).fanout
    topic = stack.resolve(fanout.topic.topic_name)
    expected = [("AWS/SNS", name, topic, 0, count) for name, count in ON_THE_TOPIC.items()]
    for one in fanout.subscribers:
        name = stack.resolve(one.queue.queue_name)
        expected.append(("AWS/SQS", "ApproximateAgeOfOldestMessage", name, 900, 15))
        for kept in (one.dead_letter_queue, one.delivery_dead_letter_queue):
            name = stack.resolve(kept.queue_name)
            expected.append(("AWS/SQS", "ApproximateNumberOfMessagesVisible", name, 0, 1))
    found = []
    for alarm in made(build).all("CloudWatch::Alarm"):
        (dimension,) = alarm["Dimensions"]
        rings = (dimension["Value"], alarm["Threshold"], alarm["EvaluationPeriods"])
        found.append((alarm["Namespace"], alarm["MetricName"], *rings))
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["Period"] == 60
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert len(fanout.alarms) == len(expected)


@every_build("topic")
def test_a_topic_of_your_own_is_used_as_it_is(build: Build, stack: Stack) -> None:
    topic = own_topic(stack, build)
    assert build.make(stack, topic=topic).topic is topic
    assert len(properties(stack, "SNS::Topic")) == 1


@every_build("topic")
def test_an_imported_topic_delivers_from_its_own_account_and_is_asked_for_its_key(
    build: Build, stack: Stack
) -> None:
    arn = ARN + ".fifo" * ("fifo" in build.slug)
    build.make(stack, topic=sns.Topic.from_topic_arn(stack, "Theirs", arn))
    condition = {
        "ArnLike": {"aws:SourceArn": arn},
        "StringEquals": {"aws:SourceAccount": "111111111111"},
    }
    assert str(condition) in str(properties(stack, "SQS::QueuePolicy"))
    told = "imported.*deduplication id.*key_arn" if "fifo" in build.slug else "imported.*key_arn"
    warned(stack, told)


@every_build("topic")
def test_a_topic_that_only_deployment_knows_is_treated_as_the_type_that_it_must_be(
    build: Build, stack: Stack
) -> None:
    topic = sns.Topic.from_topic_arn(stack, "Theirs", Fn.import_value("TopicArn"))
    fifo = "fifo" in build.slug
    for one in build.make(stack, topic=topic).subscribers:
        assert one.delivery_dead_letter_queue.fifo is fifo
    warned(stack, "must be FIFO" if fifo else "imported")


@every_build("topic")
def test_a_key_that_encrypts_nothing_or_that_sns_may_not_use_is_rejected(
    build: Build, stack: Stack
) -> None:
    managed = kms.Alias.from_alias_name(stack, "Managed", "alias/aws/sns")
    with pytest.raises(ValueError, match=r"alias/aws/sns.*cannot allow sns\.amazonaws\.com"):
        build.make(stack, "First", key=managed)
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        build.make(stack, "Second", key=key)
    with pytest.raises(ValueError, match="key of Stack/Own is Stack/Key, which is disabled"):
        build.make(stack, "Third", topic=own_topic(stack, build, master_key=key))


@every_build("topic")
@pytest.mark.parametrize("argument", ["topic", "alarms"])
def test_an_argument_of_the_wrong_type_is_named(build: Build, stack: Stack, argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} is 'arn:x'; it must be of type"):
        build.make(stack, **{argument: "arn:x"})


@every_build("topic")
@pytest.mark.parametrize("argument", ["consumer", "queue", "subscription", "alarms"])
def test_a_subscribers_argument_of_the_wrong_type_is_named(
    build: Build, stack: Stack, argument: str
) -> None:
    fanout, settings = build.make(stack), {"consumer": function(stack)} | {argument: "arn:x"}
    with pytest.raises(ValueError, match=f"{argument} is 'arn:x'; it must be of type"):
        fanout.add_queue("Another", **settings)


@every_build("topic")
@pytest.mark.parametrize(
    ("account", "region"), [("1" * 12, "us-east-1"), ("2" * 12, "eu-west-1")], ids=str
)
def test_a_topic_of_another_account_or_region_gets_no_alarm_on_a_metric_that_is_not_here(
    build: Build, account: str, region: str
) -> None:
    stack = Stack(App(), "Stack", env=Environment(account="1" * 12, region="eu-west-1"))
    arn = f"arn:aws:sns:{region}:{account}:theirs" + ".fifo" * ("fifo" in build.slug)
    topic = sns.Topic.from_topic_arn(stack, "Theirs", arn)
    with rejected("where the dead-letter queue" if region == "us-east-1" else None):
        build.make(stack, topic=topic)
    warned(stack, "another (account|Region).* put the alarms on its deliveries there")
    found = {alarm["Namespace"] for alarm in properties(stack, "CloudWatch::Alarm")}
    assert "AWS/SNS" not in found


@every_build("topic")
def test_a_topic_of_another_region_needs_a_name_that_is_known(build: Build) -> None:
    app = App()
    here, there = (
        Stack(app, region, env=Environment(account="1" * 12, region=region))
        for region in ("eu-west-1", "us-east-1")
    )
    topic = own_topic(there, build)
    for where in (here, Stack(app, "Anywhere")):
        with pytest.raises(ValueError, match=r"us-east-1/Own is of another.*Give it a topic_name"):
            build.make(where, topic=topic)


@every_build("topic")
def test_a_topic_of_another_account_of_this_app_may_be_subscribed_to(build: Build) -> None:
    app = App()
    here, there = (
        Stack(app, name, env=Environment(account=name[-1] * 12, region="eu-west-1"))
        for name in ("Stack1", "Stack2")
    )
    name = "prices.fifo" if "fifo" in build.slug else "prices"
    build.make(here, topic=own_topic(there, build, topic_name=name))
    (policy,) = properties(there, "SNS::TopicPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sns:Subscribe"
    assert "111111111111:root" in str(statement["Principal"])


# Who owns what: each of them in another stack, in a nested one, or in the parent of one


def _own_queue(stack: Stack, build: Build, **settings: Any) -> sqs.Queue:
    fifo, days = "fifo" in build.slug or None, Duration.days(14)
    kept = sqs.Queue(stack, "OwnDlq", fifo=fifo, retention_period=days, **settings)
    letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    hidden = Duration.minutes(1)
    return sqs.Queue(
        stack,
        "OwnQueue",
        fifo=fifo,
        visibility_timeout=hidden,
        dead_letter_queue=letters,
        **settings,
    )


def _takes_from(fanout: Any, here: Stack, queue: sqs.IQueue) -> None:
    fanout.add_queue("Another", consumer=function(here, "Another"), queue=queue)


def _queue(build: Build, here: Stack, there: Stack) -> None:
    queue = _own_queue(there, build, encryption_master_key=kms.Key(there, "Key"))
    _takes_from(build.make(here), here, queue)


def _key(build: Build, here: Stack, there: Stack) -> None:
    key = kms.Key(there, "Key")
    build.make(here, key=key).grant_publish(function(here, "Publisher"))


def _topic(build: Build, here: Stack, there: Stack) -> None:
    topic = own_topic(there, build, master_key=kms.Key(there, "Key"))
    build.make(here, topic=topic).grant_publish(function(here, "Publisher"))


def _topic_and_queue(build: Build, here: Stack, there: Stack) -> None:
    fanout = build.make(here, topic=own_topic(there, build))
    _takes_from(fanout, here, _own_queue(there, build))


def _topic_with_our_key(build: Build, here: Stack, there: Stack) -> None:
    fanout = build.make(here, topic=own_topic(there, build))
    _takes_from(fanout, here, _own_queue(here, build, encryption_master_key=kms.Key(here, "Key")))


def _dead_letters(build: Build, here: Stack, there: Stack) -> None:
    kept = sqs.Queue(there, "Kept", fifo="fifo" in build.slug or None)
    subscription = Subscription(dead_letter_queue=kept)
    build.make(here).add_queue("Another", consumer=function(here), subscription=subscription)


def _publisher(build: Build, here: Stack, there: Stack) -> None:
    build.make(here, key=kms.Key(here, "Key")).grant_publish(function(there, "Publisher"))


def _consumer_that_publishes(build: Build, here: Stack, there: Stack) -> None:
    fanout, both = build.make(here, key=kms.Key(here, "Key")), function(there, "Both")
    fanout.add_queue("Another", consumer=both)
    fanout.grant_publish(both)


@every_build("topic")
@pytest.mark.parametrize("relation", ["another", "nested", "in_nested"])
@pytest.mark.parametrize(
    "owned",
    [
        _queue,
        _key,
        _topic,
        _topic_and_queue,
        _topic_with_our_key,
        _dead_letters,
        _publisher,
        _consumer_that_publishes,
    ],
    ids=lambda owned: owned.__name__.strip("_"),
)
def test_nothing_depends_in_a_circle_on_what_another_stack_owns(
    build: Build, relation: str, owned: Callable[[Build, Stack, Stack], None]
) -> None:
    app = App()
    stack = Stack(app, "Stack")
    other = Stack(app, "Other") if relation == "another" else NestedStack(stack, "Nested")
    here, there = (other, stack) if relation == "in_nested" else (stack, other)
    owned(build, here, there)
    for one in (here, there):
        Template.from_stack(one)  # it rejects a circle


@every_build("topic")
def test_a_key_does_not_name_a_topic_of_a_nested_stack_that_uses_the_key(
    build: Build, stack: Stack
) -> None:
    nested, key = NestedStack(stack, "Nested"), kms.Key(stack, "Key")
    sqs.Queue(nested, "Also", encryption_master_key=key)
    fanout = build.make(stack, topic=own_topic(nested, build))
    _takes_from(fanout, stack, _own_queue(stack, build, encryption_master_key=key))
    Template.from_stack(stack)


@every_build("topic")
def test_a_key_of_another_region_is_rejected(build: Build) -> None:
    app = App()
    here, there = (
        Stack(app, region, env=Environment(account="1" * 12, region=region))
        for region in ("eu-west-1", "us-east-1")
    )
    with pytest.raises(ValueError, match=r"key.*us-east-1.*eu-west-1|key.*in Region us-east-1"):
        build.make(here, key=kms.Key(there, "Key"))
