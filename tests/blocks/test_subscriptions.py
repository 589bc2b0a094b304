"""What SNS needs to deliver into a queue, from a FIFO topic or a standard one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from aws_cdk import App, Environment, Fn, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from constructs import Construct

from serverless_patterns.patterns.blocks.sources import Source
from serverless_patterns.patterns.blocks.subscriptions import (
    Delivery,
    Subscription,
    deliver,
    deliver_to_queue,
)
from tests.contracts.builds import texts
from tests.inline import function, properties, rejected, warned

QUEUE_ARN = "arn:aws:sqs:us-east-1:111111111111:kept.fifo"
WHOLESALE = sns.SubscriptionFilter.string_filter(allowlist=["wholesale"])
BY_BODY = {"channels": sns.FilterOrPolicy.filter(WHOLESALE)}
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
REPLAY = Subscription(replay_from=START)
either_type = pytest.mark.parametrize("fifo", [True, None], ids=["fifo", "standard"])


def topic_of(stack: Stack, **settings: Any) -> sns.Topic:
    return sns.Topic(stack, "Topic", **{"fifo": True} | settings)


def queue_of(stack: Stack, name: str = "Own", **settings: Any) -> sqs.Queue:
    return sqs.Queue(stack, name, **{"fifo": True} | settings)


def subscribe(
    stack: Stack,
    settings: Subscription = Subscription(),  # noqa: B008 - frozen
    *,
    topic: sns.ITopic | None = None,
    queue: sqs.IQueue | None = None,
    name: str = "Subscriber",
) -> Delivery:
    source = Source(topic or topic_of(stack))
    queue = queue or queue_of(stack, f"{name}Queue")
    return deliver_to_queue(Construct(stack, name), source, queue, settings)


def subscription(stack: Stack) -> dict[str, Any]:
    (found,) = properties(stack, "SNS::Subscription")
    return found


def allowed_by_key(stack: Stack) -> dict[str, Any]:
    """The one statement of the one key's policy that allows SNS."""
    (key,) = properties(stack, "KMS::Key")
    statements: list[dict[str, Any]] = key["KeyPolicy"]["Statement"]
    (found,) = [s for s in statements if s["Principal"] == {"Service": "sns.amazonaws.com"}]
    return found


@either_type
def test_what_sns_cannot_deliver_is_kept_in_a_queue_of_the_topics_type(
    stack: Stack, fifo: bool | None
) -> None:
    made = subscribe(stack, topic=topic_of(stack, fifo=fifo))
    arn = stack.resolve(made.dead_letter_queue.queue_arn)
    assert subscription(stack)["RedrivePolicy"] == {"deadLetterTargetArn": arn}
    queue = Template.from_stack(stack).find_resources("AWS::SQS::Queue")[arn["Fn::GetAtt"][0]]
    assert queue["Properties"].get("FifoQueue") is fifo
    assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 86_400


def test_a_subscription_waits_for_the_permissions_to_deliver(stack: Stack) -> None:
    subscribe(stack)
    template = Template.from_stack(stack)
    (waits,) = template.find_resources("AWS::SNS::Subscription").values()
    policies = template.find_resources("AWS::SQS::QueuePolicy")
    assert len(policies) == 2, "of the queue, and of the dead-letter queue of its deliveries"
    assert set(waits["DependsOn"]) == set(policies)


def test_events_are_delivered_raw_unless_asked_otherwise(stack: Stack) -> None:
    topic = topic_of(stack)
    subscribe(stack, topic=topic)
    subscribe(stack, Subscription(raw_message_delivery=False), topic=topic, name="Wrapped")
    found = properties(stack, "SNS::Subscription")
    assert [one["RawMessageDelivery"] for one in found] == [True, False]


def test_a_function_always_gets_the_envelope(stack: Stack) -> None:
    own = function(stack)
    topic, protocol = Source(topic_of(stack, fifo=None)), sns.SubscriptionProtocol.LAMBDA
    deliver(stack, topic, Subscription(), protocol=protocol, endpoint=own.function_arn)
    found = subscription(stack)
    assert (found["Protocol"], found["Endpoint"]) == ("lambda", stack.resolve(own.function_arn))
    assert "RawMessageDelivery" not in found


@pytest.mark.parametrize(
    ("settings", "scope"),
    [
        (Subscription(filter_policy={"channels": WHOLESALE}), None),
        (Subscription(filter_policy_with_message_body=BY_BODY), "MessageBody"),
    ],
    ids=["attributes", "body"],
)
def test_a_subscriber_filters_by_attributes_or_by_the_body(
    stack: Stack, settings: Subscription, scope: str | None
) -> None:
    subscribe(stack, settings)
    found = subscription(stack)
    assert found["FilterPolicy"] == {"channels": ["wholesale"]}
    assert found.get("FilterPolicyScope") == scope


def test_two_filters_on_one_subscription_are_rejected() -> None:
    with rejected("both given"):
        Subscription(filter_policy={"channels": WHOLESALE}, filter_policy_with_message_body=BY_BODY)


def of_values(count: int) -> sns.SubscriptionFilter:
    return sns.SubscriptionFilter.string_filter(allowlist=[str(one) for one in range(count)])


def by_body(chosen: sns.SubscriptionFilter) -> sns.FilterOrPolicy:
    return sns.FilterOrPolicy.filter(chosen)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({f"key{number}": of_values(1) for number in range(6)}, "6 keys.*5 at most"),
        ({"a": of_values(10), "b": of_values(16)}, "160 combinations.*150 at most"),
        ({"a": of_values(0)}, "a key without a value"),
    ],
    ids=["keys", "combinations", "empty"],
)
def test_a_filter_that_sns_does_not_accept_is_rejected(
    policy: dict[str, sns.SubscriptionFilter], problem: str
) -> None:
    with rejected(f"^filter_policy has .*{problem}"):
        Subscription(filter_policy=policy)
    with rejected(f"^filter_policy_with_message_body has .*{problem}"):
        Subscription(
            filter_policy_with_message_body={key: by_body(one) for key, one in policy.items()}
        )


def test_a_filter_that_nothing_matches_is_rejected() -> None:
    empty = sns.SubscriptionFilter.numeric_filter(between=sns.BetweenCondition(start=9, stop=5))
    with rejected("^filter_policy matches nothing: total: no number is >= 9 <= 5"):
        Subscription(filter_policy={"total": empty})
    with rejected("^filter_policy_with_message_body matches nothing: total: no number"):
        Subscription(filter_policy_with_message_body={"total": by_body(empty)})


def test_a_value_below_the_first_level_counts_as_many_times_as_it_is_deep() -> None:
    for count, problem in ((75, None), (76, "152 combinations of values")):
        deep = sns.FilterOrPolicy.policy({"country": by_body(of_values(count))})
        with rejected(problem):
            Subscription(filter_policy_with_message_body={"customer": deep})


def test_a_second_subscription_of_a_queue_is_rejected(stack: Stack) -> None:
    topic, queue = topic_of(stack), queue_of(stack)
    subscribe(stack, topic=topic, queue=queue)
    with rejected("topic Stack/Topic already delivers .* Stack/Second would subscribe it again"):
        subscribe(stack, topic=topic, queue=queue, name="Second")


@pytest.mark.parametrize(
    "settings",
    [
        {"filter_policy": {"channels": ["wholesale"]}},
        {"filter_policy_with_message_body": {"channels": WHOLESALE}},
        {"filter_policy": ["wholesale"]},
        {"replay_from": "2026-11-21"},
        {"dead_letter_queue": QUEUE_ARN},
        {"raw_message_delivery": "yes"},
    ],
    ids=" ".join,
)
def test_a_setting_of_the_wrong_type_is_named(settings: dict[str, Any]) -> None:
    (name,) = settings
    with rejected(rf"^{name}(\['channels'\])? is .*; it must be of type"):
        Subscription(**settings)


@either_type
def test_a_dead_letter_queue_of_the_other_type_is_rejected(stack: Stack, fifo: bool | None) -> None:
    kept = Subscription(dead_letter_queue=queue_of(stack, "Kept", fifo=None if fifo else True))
    with rejected(r"dead_letter_queue Stack/Kept is a .* queues only"):
        subscribe(stack, kept, topic=topic_of(stack, fifo=fifo))


def test_a_dead_letter_queue_that_only_deployment_knows_is_told_its_type(stack: Stack) -> None:
    kept = sqs.Queue.from_queue_arn(stack, "Theirs", Fn.import_value("QueueArn"))
    subscribe(stack, Subscription(dead_letter_queue=kept))
    warned(stack, "must be a FIFO queue")


def test_subscribers_may_share_a_delivery_dead_letter_queue(stack: Stack) -> None:
    topic, kept = topic_of(stack), Subscription(dead_letter_queue=queue_of(stack, "Kept"))
    for name in ("First", "Second"):
        subscribe(stack, kept, topic=topic, name=name)
    found = properties(stack, "SNS::Subscription")
    assert len({json.dumps(one["RedrivePolicy"]) for one in found}) == 1


def test_a_queue_that_would_take_what_cannot_be_delivered_to_itself_is_rejected(
    stack: Stack,
) -> None:
    queue = queue_of(stack)
    with rejected("Stack/Own is the subscribed queue itself"):
        subscribe(stack, Subscription(dead_letter_queue=queue), queue=queue)


@pytest.mark.parametrize("given", ["encryption", "alias", "property"])
def test_a_queue_with_the_aws_managed_key_is_rejected(stack: Stack, given: str) -> None:
    alias = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sqs")
    settings: dict[str, dict[str, Any]] = {
        "encryption": {"encryption": sqs.QueueEncryption.KMS_MANAGED},
        "alias": {"encryption_master_key": alias},
        "property": {},
    }
    topic, queue = topic_of(stack), queue_of(stack, **settings[given])
    if given == "property":
        queue.node.default_child.kms_master_key_id = "alias/aws/sqs"  # type: ignore[union-attr]
    with rejected(r"^queue Stack/Own is encrypted with alias/aws/sqs"):
        subscribe(stack, topic=topic, queue=queue)
    kept = Subscription(dead_letter_queue=queue)
    with rejected(r"dead_letter_queue Stack/Own is encrypted with alias"):
        subscribe(stack, kept, topic=topic, name="Other")


def test_a_dead_letter_queue_with_a_disabled_key_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    kept = queue_of(stack, "Kept", encryption_master_key=key)
    with rejected("key of Stack/Kept is Stack/Key, which is disabled"):
        subscribe(stack, Subscription(dead_letter_queue=kept))


@pytest.mark.parametrize("given", ["queue", "dead_letter_queue"])
def test_an_imported_queue_is_told_what_it_must_allow(stack: Stack, given: str) -> None:
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", QUEUE_ARN)
    if given == "queue":
        subscribe(stack, queue=theirs)
    else:
        subscribe(stack, Subscription(dead_letter_queue=theirs))
        warned(stack, "cannot be checked: .*lost after its retention period.*key_arn")
    warned(stack, "sqs:SendMessage.*not be encrypted with the AWS managed key")


# Another account or Region

HONG_KONG, VIRGINIA, IRELAND, MILAN = "ap-east-1", "us-east-1", "eu-west-1", "eu-south-1"


def stack_in(region: str, account: str = "1" * 12) -> Stack:
    return Stack(App(), "Stack", env=Environment(account=account, region=region))


def imported(stack: Stack, kind: Any, name: str, region: str, account: str = "1" * 12) -> Any:
    service = "sns" if kind is sns.Topic else "sqs"
    make = kind.from_topic_arn if kind is sns.Topic else kind.from_queue_arn
    return make(stack, name, f"arn:aws:{service}:{region}:{account}:{name.lower()}.fifo")


def subscribe_from(stack: Stack, region: str, account: str = "1" * 12) -> Delivery:
    """Subscribe a queue of the stack to a topic of there, with a dead-letter queue of there."""
    topic = imported(stack, sns.Topic, "Theirs", region, account)
    kept = imported(stack, sqs.Queue, "Kept", region) if Stack.of(stack).region != region else None
    scope = Construct(stack, "Subscriber")
    settings = Subscription(dead_letter_queue=kept)
    return deliver_to_queue(scope, Source(topic, scope=scope), queue_of(stack), settings)


def test_a_subscription_names_the_region_of_its_topic() -> None:
    stack = stack_in(IRELAND)
    made = subscribe_from(stack, VIRGINIA)
    found = subscription(stack)
    assert found["Region"] == VIRGINIA
    assert f":{VIRGINIA}:" in found["RedrivePolicy"]["deadLetterTargetArn"]
    assert made.alarm is None, "the metric of that dead-letter queue is not in this Region"


def test_a_dead_letter_queue_of_another_region_than_the_topic_is_rejected() -> None:
    stack = stack_in(IRELAND)
    topic = Source(imported(stack, sns.Topic, "Theirs", VIRGINIA), scope=stack)
    with rejected("topic Stack/Theirs is in the Region us-east-1, where the dead-letter queue"):
        deliver_to_queue(stack, topic, queue_of(stack), Subscription())
    kept = imported(stack, sqs.Queue, "Kept", HONG_KONG)
    with rejected("is in Region us-east-1, its dead-letter queue Stack/Kept in Region ap-east-1"):
        deliver_to_queue(stack, topic, queue_of(stack, "A"), Subscription(dead_letter_queue=kept))


def test_a_topic_of_another_account_and_region_needs_a_dead_letter_queue_there_too() -> None:
    stack = stack_in(IRELAND)
    topic = Source(imported(stack, sns.Topic, "Theirs", VIRGINIA, "2" * 12), scope=stack)
    with rejected("topic Stack/Theirs is in the Region us-east-1, where the dead-letter queue"):
        deliver_to_queue(stack, topic, queue_of(stack), Subscription())


def test_a_dead_letter_queue_beside_a_topic_elsewhere_needs_a_name_that_is_known() -> None:
    app = App()
    here, there = (
        Stack(app, region, env=Environment(account="1" * 12, region=region))
        for region in (IRELAND, VIRGINIA)
    )
    topic = Source(sns.Topic(there, "Topic", topic_name="prices"), scope=here)
    kept = sqs.Queue(there, "Kept")
    with rejected("dead_letter_queue us-east-1/Kept is of another .* Give it a queue_name"):
        deliver_to_queue(here, topic, queue_of(here), Subscription(dead_letter_queue=kept))


def test_a_dead_letter_queue_of_another_account_is_rejected() -> None:
    stack = stack_in(IRELAND)
    kept = imported(stack, sqs.Queue, "Kept", IRELAND, "2" * 12)
    with rejected("in account 111111111111, its dead-letter queue Stack/Kept in account 222222"):
        subscribe(stack, Subscription(dead_letter_queue=kept))


def test_a_queue_whose_owner_would_have_to_confirm_is_rejected() -> None:
    stack = stack_in(IRELAND)
    queue = imported(stack, sqs.Queue, "Queue", IRELAND, "2" * 12)
    with rejected("Stack/Queue is in account 222222222222: .* before that account confirms"):
        subscribe(stack, queue=queue)


@pytest.mark.parametrize(
    ("there", "here", "principal"),
    [
        (VIRGINIA, IRELAND, "sns"),
        (HONG_KONG, HONG_KONG, "sns"),
        (HONG_KONG, IRELAND, "sns.ap-east-1"),
        (IRELAND, HONG_KONG, "sns.ap-east-1"),
        (HONG_KONG, MILAN, "sns.eu-south-1"),
    ],
)
def test_sns_of_an_opt_in_region_has_a_principal_of_its_own(
    there: str, here: str, principal: str
) -> None:
    stack = stack_in(here)
    subscribe_from(stack, there)
    policies = properties(stack, "SQS::QueuePolicy")
    statements = [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]
    services = [one["Principal"].get("Service") for one in statements if one["Effect"] == "Allow"]
    assert set(services) == {f"{principal}.amazonaws.com"}


def test_sns_has_either_principal_where_the_region_of_the_queue_is_not_known(stack: Stack) -> None:
    topic = Source(imported(stack, sns.Topic, "Theirs", HONG_KONG), scope=stack)
    deliver_to_queue(stack, topic, queue_of(stack), Subscription())
    policies = properties(stack, "SQS::QueuePolicy")
    statements = [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]
    services = [one["Principal"].get("Service") for one in statements if one["Effect"] == "Allow"]
    either = ["sns.amazonaws.com", "sns.ap-east-1.amazonaws.com"]
    assert services == [either] * len(services)
    assert services


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_every_arn_is_of_the_partition_that_the_stack_is_in(region: str) -> None:
    stack = stack_in(region)
    key = kms.Key(stack, "Key")
    subscribe(stack, topic=topic_of(stack, master_key=key), queue=queue_of(stack))
    kinds = ("SQS::QueuePolicy", "KMS::Key", "SNS::Subscription")
    found = json.dumps([properties(stack, kind) for kind in kinds])
    assert '"arn:aws:' not in found
    assert '"sns.amazonaws.com"' in found


# Keys


@pytest.mark.parametrize("shared", [True, False])
def test_a_key_that_encrypts_topic_and_queue_makes_no_circle(stack: Stack, shared: bool) -> None:
    key = kms.Key(stack, "Key")
    topic = topic_of(stack, master_key=key if shared else None)
    subscribe(stack, topic=topic, queue=queue_of(stack, encryption_master_key=key))
    condition = allowed_by_key(stack)["Condition"]  # synthesis rejects a circle
    arn = condition["ArnLike"]["aws:SourceArn"]
    if shared:
        assert ".fifo" in str(arn), "it names the topic"
        assert stack.resolve(topic.topic_arn)["Ref"] not in texts(arn), "without a reference to it"
    else:
        assert arn == stack.resolve(topic.topic_arn)
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_an_imported_key_is_told_what_it_must_allow(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:us-east-1:111111111111:key/1")
    Source(topic_of(stack)).allow_key(key)
    warned(stack, "key is imported.*kms:Decrypt and kms:GenerateDataKey to sns.amazonaws.com")


# Replay


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=1))], ids=str)
def test_a_subscription_replays_the_archive_from_a_point_in_time(
    stack: Stack, zone: timezone
) -> None:
    topic = topic_of(stack, message_retention_period_in_days=1)
    subscribe(stack, Subscription(replay_from=START.astimezone(zone)), topic=topic)
    assert subscription(stack)["ReplayPolicy"] == {
        "PointType": "Timestamp",
        "StartingPoint": "2026-11-21T08:00:00.000Z",
    }


def test_sns_may_read_the_archive_that_it_replays(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    topic = topic_of(stack, message_retention_period_in_days=7, master_key=key)
    subscribe(stack, REPLAY, topic=topic)
    assert allowed_by_key(stack)["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_the_archive_of_an_imported_topic_cannot_be_checked(stack: Stack) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs.fifo"
    subscribe(stack, REPLAY, topic=sns.Topic.from_topic_arn(stack, "Theirs", arn))
    warned(stack, "archive cannot be checked.*2026-11-21T08:00:00")


def test_a_replay_without_a_time_zone_is_rejected() -> None:
    with rejected("2026-11-21T00:00:00 without a time zone"):
        Subscription(replay_from=datetime(2026, 11, 21))


def test_a_replay_from_a_standard_topic_is_rejected(stack: Stack) -> None:
    with rejected("Leave it out: only a FIFO topic keeps one"):
        subscribe(stack, REPLAY, topic=topic_of(stack, fifo=None), queue=queue_of(stack, fifo=None))


def test_a_replay_without_an_archive_that_sns_can_read_is_rejected(stack: Stack) -> None:
    with rejected("keeps no archive"):
        subscribe(stack, REPLAY)
    managed = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns")
    archive = sns.Topic(
        stack, "Archive", fifo=True, message_retention_period_in_days=7, master_key=managed
    )
    with rejected("archive is encrypted with alias/aws/sns"):
        subscribe(stack, REPLAY, topic=archive, name="Other")
