"""What every queue-fed construct refuses, and what it warns of, by the queue and its consumer."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Fn, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.foundation import rules
from serverless_patterns.patterns.foundation.consumers import consume
from serverless_patterns.patterns.foundation.queues import QueueWithDeadLetterQueue
from tests.inline import function

LETTERS = "arn:aws:sqs:us-east-1:111111111111:letters"
OTHERS = "arn:aws:sqs:us-east-1:111111111111:others"
LISTED = Fn.import_value("Listed")


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


FUNCTION_ARN = "arn:aws:lambda:us-east-1:111111111111:function:consumer"


def imported_function(stack: Stack) -> lambda_.IFunction:
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/consumer")
    return lambda_.Function.from_function_attributes(
        stack, "Imported", function_arn=FUNCTION_ARN, role=role, same_environment=True
    )


def queue(
    stack: Stack, *, letters: sqs.IQueue | None = None, receives: int = 5, **settings: Any
) -> sqs.Queue:
    fifo = settings.get("fifo")
    kept = letters or sqs.Queue(stack, "Letters", fifo=fifo, retention_period=Duration.days(14))
    dead_letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=receives)
    return sqs.Queue(
        stack,
        "Queue",
        dead_letter_queue=dead_letters,
        **{"visibility_timeout": Duration.seconds(60)} | settings,
    )


def warned(stack: Stack, path: str, *patterns: str) -> None:
    """Assert that a construct has exactly one warning, and that it says all this."""
    found = Annotations.from_stack(stack).find_warning(path, Match.any_value())
    texts = [str(one.entry.data) for one in found]
    (text,) = [text for text in texts if "serverless-patterns:" in text]
    for pattern in patterns:
        assert pattern in text, text


# A message must be dead-lettered before it expires


@pytest.mark.parametrize(("seconds", "accepted"), [(300, False), (301, True)])
def test_a_new_queue_that_deletes_before_it_dead_letters_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        return QueueWithDeadLetterQueue(
            stack,
            "New",
            visibility_timeout=Duration.seconds(60),
            retention_period=Duration.seconds(seconds),
        )

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match=r"5 receives of 60 s take 300 s.*retention_period"):
            make()


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({"retention_period": Duration.seconds(300)}, False),
        ({"retention_period": Duration.seconds(301)}, True),
        ({"fifo": True, "retention_period": Duration.seconds(300)}, False),
        ({"visibility_timeout": Duration.seconds(3456)}, True),
        ({"visibility_timeout": Duration.seconds(3456), "receives": 100}, False),
        ({"visibility_timeout": Duration.seconds(3455), "receives": 100}, True),
    ],
)
def test_an_own_queue_that_deletes_before_it_dead_letters_is_refused(
    stack: Stack, settings: dict[str, Any], accepted: bool
) -> None:
    own = queue(stack, **settings)
    if accepted:
        rules.check_own_queue(own, None)
    else:
        with pytest.raises(ValueError, match="deleted before it is dead-lettered"):
            rules.check_own_queue(own, None)


def test_a_retention_that_only_deployment_knows_is_accepted(stack: Stack) -> None:
    period = CfnParameter(stack, "Period", type="Number").value_as_number
    rules.check_own_queue(queue(stack, retention_period=Duration.seconds(period)), None)


# The dead-letter queue must take its source's messages


def letters_that_take(stack: Stack, policy: Any) -> sqs.Queue:
    """Return a dead-letter queue with a redrive allow policy: of the L2's, or as it is written."""
    if isinstance(policy, sqs.RedriveAllowPolicy):
        return sqs.Queue(
            stack, "Letters", retention_period=Duration.days(14), redrive_allow_policy=policy
        )
    made = sqs.Queue(stack, "Letters", retention_period=Duration.days(14))
    resource = made.node.default_child
    assert isinstance(resource, sqs.CfnQueue)
    resource.redrive_allow_policy = policy
    return made


DENY_ALL = sqs.RedriveAllowPolicy(redrive_permission=sqs.RedrivePermission.DENY_ALL)
ALLOW_ALL = sqs.RedriveAllowPolicy(redrive_permission=sqs.RedrivePermission.ALLOW_ALL)


def by_queue(*arns: Any) -> dict[str, Any]:
    return {"redrivePermission": "byQueue", "sourceQueueArns": list(arns)}


@pytest.mark.parametrize(
    ("policy", "accepted"),
    [
        (DENY_ALL, False),
        (ALLOW_ALL, True),
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "allowAll"}, True),
        (by_queue(OTHERS), False),
        (by_queue(), False),
        (by_queue(OTHERS, "arn:aws:sqs:us-east-1:111111111111:orders"), True),
        (by_queue(OTHERS, Fn.import_value("Orders")), True),
        ({"redrivePermission": Fn.import_value("Permission")}, True),
        ({"redrivePermission": "byQueue", "sourceQueueArns": Fn.split(",", LISTED)}, True),
        (Fn.condition_if("Prod", {"redrivePermission": "denyAll"}, by_queue()), True),
    ],
)
def test_a_dead_letter_queue_that_refuses_its_source_is_refused(
    stack: Stack, policy: Any, accepted: bool
) -> None:
    own = queue(stack, letters=letters_that_take(stack, policy), queue_name="orders")
    if accepted:
        rules.check_own_queue(own, None)
    else:
        with pytest.raises(ValueError, match=r"Stack/Letters.*redrive allow policy"):
            rules.check_own_queue(own, None)


def test_a_dead_letter_queue_that_names_another_queue_of_the_app_is_refused(stack: Stack) -> None:
    policy = sqs.RedriveAllowPolicy(source_queues=[sqs.Queue(stack, "Other")])
    own = queue(stack, letters=letters_that_take(stack, policy))
    with pytest.raises(ValueError, match="names other queues only"):
        rules.check_own_queue(own, None)


def test_a_dead_letter_queue_that_names_its_source_by_reference_is_accepted(stack: Stack) -> None:
    own = queue(stack)
    assert own.dead_letter_queue
    resource = own.dead_letter_queue.queue.node.default_child
    assert isinstance(resource, sqs.CfnQueue)
    resource.redrive_allow_policy = by_queue(own.queue_arn)
    rules.check_own_queue(own, None)


def test_an_arn_may_be_that_of_a_queue_whose_name_is_generated(stack: Stack) -> None:
    rules.check_own_queue(queue(stack, letters=letters_that_take(stack, by_queue(OTHERS))), None)


def test_the_queues_made_here_allow_each_other(stack: Stack) -> None:
    made = QueueWithDeadLetterQueue(stack, "New", visibility_timeout=Duration.seconds(60))
    rules.check_own_queue(made.queue, None)


# Keys


def test_a_disabled_key_of_a_queue_or_its_dead_letter_queue_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match=r"key of Stack/Queue is Stack/Key, which is disabled"):
        rules.check_own_queue(queue(stack, encryption_master_key=key), None)
    other = Stack(App(), "Other")
    letters = sqs.Queue(
        other,
        "Letters",
        retention_period=Duration.days(14),
        encryption_master_key=kms.Key(other, "Key", enabled=False),
    )
    with pytest.raises(ValueError, match="key of Other/Letters is Other/Key, which is disabled"):
        rules.check_own_queue(queue(other, letters=letters), None)


# How much the consumer may run


@pytest.fixture
def own(stack: Stack) -> sqs.Queue:
    return queue(stack)


def mapping(stack: Stack, own: sqs.IQueue, reserved: int | None, **settings: Any) -> object:
    return consume(
        stack,
        "Mapping",
        queue=own,
        consumer=function(stack, reserved_concurrent_executions=reserved),
        **settings,
    )


def pollers(low: int, high: int) -> lambda_.ProvisionedPollerConfig:
    return lambda_.ProvisionedPollerConfig(minimum_pollers=low, maximum_pollers=high)


@pytest.mark.parametrize(
    "settings",
    [{}, {"max_concurrency": 2}, {"provisioned_pollers": pollers(2, 2)}],
    ids=["default", "max_concurrency", "provisioned_pollers"],
)
def test_a_consumer_that_reserves_nothing_is_refused(
    stack: Stack, own: sqs.Queue, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"consumer reserves 0 concurrent.*Reserve 2 or more"):
        mapping(stack, own, 0, **settings)


@pytest.mark.parametrize("version", [3, "1.2.0"])
def test_a_function_of_a_class_of_your_own_may_have_a_version(
    stack: Stack, own: sqs.Queue, version: object
) -> None:
    class Release(lambda_.Function):
        lambda_ = None

    code = lambda_.Code.from_inline("def handler(event, context): ...")
    runtime = lambda_.Runtime.PYTHON_3_14
    consumer = Release(stack, "Own", runtime=runtime, handler="index.handler", code=code)
    consumer.version = version  # type: ignore[attr-defined]
    assert rules.function_of(consumer) is consumer
    consume(stack, "Mapping", queue=own, consumer=consumer)
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("imported"))


def test_the_functions_reservation_counts_behind_an_alias(stack: Stack, own: sqs.Queue) -> None:
    alias = function(stack, reserved_concurrent_executions=0).add_alias("live")
    with pytest.raises(ValueError, match="reserves 0"):
        consume(stack, "Mapping", queue=own, consumer=alias)


@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 2}], ids=["default", "given"])
def test_a_consumer_that_reserves_one_is_told_what_lambda_takes(
    stack: Stack, own: sqs.Queue, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"reserves only 1 .*Reserve 2 or more") as refused:
        mapping(stack, own, 1, **settings)
    assert "Lower max_concurrency" not in str(refused.value)


def test_a_lower_limit_is_offered_where_there_is_one(stack: Stack, own: sqs.Queue) -> None:
    with pytest.raises(ValueError, match=r"Lower max_concurrency to 2, or reserve 3"):
        mapping(stack, own, 2, max_concurrency=3)


@pytest.mark.parametrize(("reserved", "limit"), [(2, 2), (1000, 1000), (1001, 1000)])
def test_the_default_limit_is_what_is_reserved_and_lambda_takes(
    stack: Stack, own: sqs.Queue, reserved: int, limit: int
) -> None:
    mapping(stack, own, reserved)
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping", {"ScalingConfig": {"MaximumConcurrency": limit}}
    )


def test_a_reservation_that_only_deployment_knows_is_accepted(stack: Stack, own: sqs.Queue) -> None:
    number = CfnParameter(stack, "Number", type="Number").value_as_number
    consumer = function(stack, reserved_concurrent_executions=number)
    consume(stack, "Mapping", queue=own, consumer=consumer)
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping", {"ScalingConfig": {"MaximumConcurrency": 10}}
    )


@pytest.mark.parametrize(
    ("reserved", "config", "change"),
    [
        (30, pollers(2, 3), None),
        (29, pollers(2, 3), "Let maximum_pollers be 2 at most, or reserve 30"),
        (19, pollers(2, 2), "Use max_concurrency instead, or reserve 20"),
        (1999, lambda_.ProvisionedPollerConfig(minimum_pollers=2), "be 199 at most"),
        (2000, lambda_.ProvisionedPollerConfig(minimum_pollers=2), None),
    ],
)
def test_pollers_that_call_more_than_the_consumer_may_run_are_refused(
    stack: Stack,
    own: sqs.Queue,
    reserved: int,
    config: lambda_.ProvisionedPollerConfig,
    change: str | None,
) -> None:
    if change is None:
        assert mapping(stack, own, reserved, provisioned_pollers=config)
    else:
        with pytest.raises(ValueError, match=change):
            mapping(stack, own, reserved, provisioned_pollers=config)


@pytest.mark.parametrize(("second", "accepted"), [(5, True), (6, False)])
def test_mappings_that_together_call_more_than_the_consumer_may_run_are_refused(
    stack: Stack, own: sqs.Queue, second: int, accepted: bool
) -> None:
    consumer = function(stack, reserved_concurrent_executions=10)
    consume(stack, "First", queue=own, consumer=consumer, max_concurrency=5)

    def make() -> object:
        alias = consumer.add_alias("live")
        return consume(stack, "Second", queue=own, consumer=alias, max_concurrency=second)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match=r"its other mappings 5.*reserves only 10"):
            make()


# What is imported


def test_an_imported_consumer_is_told_how_long_it_may_run(stack: Stack, own: sqs.Queue) -> None:
    consume(
        stack,
        "Mapping",
        queue=own,
        consumer=imported_function(stack),
        max_batching_window=Duration.seconds(6),
        max_concurrency=7,
    )
    warned(stack, "/Stack/Imported", "timeout", "at most 9 s", "at least 7")


def test_an_imported_consumer_is_told_of_its_pollers(stack: Stack, own: sqs.Queue) -> None:
    consumer = imported_function(stack)
    consume(stack, "Mapping", queue=own, consumer=consumer, provisioned_pollers=pollers(2, 4))
    warned(stack, "/Stack/Imported", "at most 10 s", "at least 40")


def test_an_imported_consumer_of_an_imported_queue_is_told_the_rule(stack: Stack) -> None:
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", OTHERS)
    consume(stack, "Mapping", queue=theirs, consumer=imported_function(stack))
    warned(stack, "/Stack/Imported", "a sixth of the queue's visibility timeout", "at least 10")


def test_a_consumer_imported_without_its_role_is_refused(stack: Stack, own: sqs.Queue) -> None:
    consumer = lambda_.Function.from_function_arn(stack, "Imported", FUNCTION_ARN)
    with pytest.raises(ValueError, match="Stack/Imported is imported without its role"):
        consume(stack, "Mapping", queue=own, consumer=consumer)


@pytest.mark.parametrize(("seconds", "accepted"), [(5, False), (6, True)])
def test_a_visibility_timeout_that_is_too_short_for_any_function_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    own = queue(stack, visibility_timeout=Duration.seconds(seconds))
    consumer = imported_function(stack)
    if accepted:
        assert consume(stack, "Mapping", queue=own, consumer=consumer)
    else:
        with pytest.raises(ValueError, match=r"visibility_timeout is 5 s.*at least 6 s"):
            consume(stack, "Mapping", queue=own, consumer=consumer)


def test_functions_of_this_app_are_not_warned_of(stack: Stack, own: sqs.Queue) -> None:
    consumer = function(stack)
    alias = lambda_.Alias.from_alias_attributes(
        stack, "Alias", alias_name="live", alias_version=consumer.current_version
    )
    for number, one in enumerate((consumer, alias, consumer.latest_version)):
        assert rules.function_of(one) is consumer
        consume(stack, f"Mapping{number}", queue=own, consumer=one)
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("imported"))


def test_an_imported_dead_letter_queue_is_told_how_long_it_must_keep_messages(
    stack: Stack,
) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", LETTERS)
    rules.check_own_queue(queue(stack, letters=letters, retention_period=Duration.days(3)), None)
    warned(stack, "/Stack/Theirs", "longer than 3 days", "redrive allow policy", "Stack/Queue")


def test_of_an_imported_fifo_dead_letter_queue_only_the_policy_matters(stack: Stack) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", f"{LETTERS}.fifo")
    own = queue(stack, letters=letters, fifo=True, retention_period=Duration.days(14))
    rules.check_own_queue(own, None)
    warned(stack, "/Stack/Theirs", "redrive allow policy must admit")


def test_no_imported_dead_letter_queue_keeps_messages_longer_than_14_days(stack: Stack) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", LETTERS)
    own = queue(stack, letters=letters, retention_period=Duration.days(14))
    with pytest.raises(ValueError, match="or lower retention_period"):
        rules.check_own_queue(own, None)


def test_an_imported_queue_is_told_its_numbers(stack: Stack) -> None:
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", OTHERS)
    rules.check_own_queue(theirs, Duration.seconds(65))
    warned(
        stack,
        "/Stack/Theirs",
        "visibility timeout of at least 65 s",
        "longer retention period",
        "no alarm here",
        "import it with key_arn",
    )


def test_an_imported_queue_with_its_key_is_not_asked_for_it(stack: Stack) -> None:
    theirs = sqs.Queue.from_queue_attributes(
        stack, "Theirs", queue_arn=OTHERS, key_arn="arn:aws:kms:us-east-1:111111111111:key/1"
    )
    rules.check_own_queue(theirs, None)
    found = Annotations.from_stack(stack).find_warning("/Stack/Theirs", Match.any_value())
    assert all("key_arn" not in str(one.entry.data) for one in found)


# An alarm must ring before the event is gone


@pytest.mark.parametrize(("seconds", "accepted"), [(899, True), (900, False)])
def test_an_alarm_on_messages_that_are_gone_by_then_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    own = queue(stack, retention_period=Duration.seconds(900))
    if accepted:
        rules.check_max_message_age(Duration.seconds(seconds), own)
    else:
        with pytest.raises(ValueError, match=r"max_message_age is 900 s.*for 900 s"):
            rules.check_max_message_age(Duration.seconds(seconds), own)
