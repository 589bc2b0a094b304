"""A consumed queue: its rules are applied to new, own and imported queues and functions."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Fn, Stack, Token
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match

from serverless_patterns.patterns.blocks.consumers import Consumer, function_of
from serverless_patterns.patterns.blocks.queues import (
    NewQueue,
    QueueWithDeadLetterQueue,
    SqsToLambda,
    check_own_queue,
    queue_for_failures,
)
from tests.contracts.test_queues import ARN, FUNCTION_ARN, imported_function
from tests.inline import function, properties, rejected

LETTERS = "arn:aws:sqs:us-east-1:111111111111:letters"
SHORT: dict[str, Any] = {"retention_period": Duration.seconds(300)}


def queue(
    stack: Stack, *, letters: sqs.IQueue | None = None, receives: int = 5, **settings: Any
) -> sqs.Queue:
    kept = letters or own_letters(stack, fifo=settings.get("fifo"))
    dead_letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=receives)
    return sqs.Queue(
        stack,
        "Queue",
        dead_letter_queue=dead_letters,
        **{"visibility_timeout": Duration.seconds(60)} | settings,
    )


def own_letters(stack: Stack, **settings: Any) -> sqs.Queue:
    return sqs.Queue(stack, "Letters", retention_period=Duration.days(14), **settings)


def consume(
    stack: Stack,
    reserved: int | None = None,
    *,
    queue: NewQueue = NewQueue(),  # noqa: B008 - frozen
    **settings: Any,
) -> SqsToLambda:
    consumer = Consumer(function(stack, reserved_concurrent_executions=reserved), **settings)
    return SqsToLambda(stack, "Block", consumer=consumer, queue=queue)


def pollers(low: int, high: int | None = None) -> lambda_.ProvisionedPollerConfig:
    return lambda_.ProvisionedPollerConfig(minimum_pollers=low, maximum_pollers=high)


def warned_once(stack: Stack, *texts: str) -> None:
    """Assert that the imported one has exactly one warning, and that it says all this."""
    found = Annotations.from_stack(stack).find_warning("/Stack/Theirs", Match.any_value())
    said = [str(one.entry.data) for one in found]
    (warning,) = [text for text in said if "serverless-patterns:" in text]
    for text in texts:
        assert text in warning, warning


# A new queue


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"retention_period": Duration.days(14)}, "expires early"),
        ({"retention_period": Duration.days(15)}, "retention_period is 15 days"),
        ({"dead_letter_retention_period": Duration.seconds(59)}, "dead_letter_retention_period is"),
        ({"max_receive_count": 0}, "it must be 5 to 1000"),
        (SHORT | {"visibility_timeout": Duration.seconds(60)}, "deleted before it is dead-letter"),
    ],
)
def test_a_new_queue_that_loses_messages_is_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        NewQueue(**settings)


def test_a_standard_queue_that_should_deduplicate_is_rejected(stack: Stack) -> None:
    with rejected("given for a standard queue, which does not deduplicate"):
        consume(stack, queue=NewQueue(content_based_deduplication=True))


def test_the_visibility_timeout_of_a_new_queue_includes_the_batching_window(stack: Stack) -> None:
    consume(stack, max_batching_window=Duration.seconds(5))
    assert 6 * 10 + 5 in [one.get("VisibilityTimeout") for one in properties(stack, "SQS::Queue")]


def test_settings_that_only_deployment_knows_are_accepted(stack: Stack) -> None:
    period = Duration.seconds(CfnParameter(stack, "Period", type="Number").value_as_number)
    receives = CfnParameter(stack, "Receives", type="Number").value_as_number
    new = NewQueue(
        retention_period=period, visibility_timeout=period, max_receive_count=int(receives)
    )
    consume(stack, queue=new)
    check_own_queue(queue(stack, retention_period=period, visibility_timeout=period))


def test_a_queue_without_a_consumer_can_be_used_alone(stack: Stack) -> None:
    made = QueueWithDeadLetterQueue(stack, "Alone")
    check_own_queue(made.queue)
    assert made.dead_letter_queue.node.path == "Stack/Alone/DeadLetterQueue"


def test_a_queue_for_failures_keeps_them_for_14_days(stack: Stack) -> None:
    queue_for_failures(stack, "Failures", reason="Failed events wait here for a person.", fifo=True)
    (found,) = properties(stack, "SQS::Queue")
    assert (found["MessageRetentionPeriod"], found["FifoQueue"]) == (14 * 86_400, True)
    assert found["SqsManagedSseEnabled"] is True


def test_a_fifo_queue_is_in_high_throughput_mode_with_a_fifo_dead_letter_queue(
    stack: Stack,
) -> None:
    QueueWithDeadLetterQueue(stack, "Ordered", queue=NewQueue(fifo=True))
    found = properties(stack, "SQS::Queue")
    assert [one["FifoQueue"] for one in found] == [True, True]
    (source,) = [one for one in found if "RedrivePolicy" in one]
    assert source["FifoThroughputLimit"] == "perMessageGroupId"
    assert source["DeduplicationScope"] == "messageGroup"
    assert "ContentBasedDeduplication" not in source


def test_a_new_queue_is_polled_long_so_that_no_empty_answer_hides_a_message(stack: Stack) -> None:
    QueueWithDeadLetterQueue(stack, "Orders")
    (source,) = [one for one in properties(stack, "SQS::Queue") if "RedrivePolicy" in one]
    assert source["ReceiveMessageWaitTimeSeconds"] == 20


# A queue of your own


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"retention_period": Duration.seconds(301)}, None),
        ({"fifo": True, "retention_period": Duration.seconds(300)}, "deleted before"),
        ({"fifo": True, "retention_period": Duration.days(14)}, None),
        ({"receives": 4}, "it must be 5 to 1000"),
    ],
)
def test_a_queue_of_your_own_is_held_to_the_same_rules(
    stack: Stack, settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        check_own_queue(queue(stack, **settings))


def test_a_fifo_queue_with_a_standard_dead_letter_queue_is_rejected(stack: Stack) -> None:
    with rejected("must be of the same type"):
        check_own_queue(queue(stack, letters=own_letters(stack), fifo=True))


def test_a_disabled_key_of_a_queue_or_its_dead_letter_queue_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with rejected("encryption_key is Stack/Key, which is disabled"):
        NewQueue(encryption_key=key)
    letters = own_letters(stack, encryption_master_key=key)
    with rejected("key of Stack/Letters is Stack/Key, which is disabled"):
        check_own_queue(letters)
    with rejected("key of Stack/Letters is Stack/Key, which is disabled"):
        check_own_queue(queue(stack, letters=letters))


def by_queue(*arns: Any) -> dict[str, Any]:
    return {"redrivePermission": "byQueue", "sourceQueueArns": list(arns)}


@pytest.mark.parametrize(
    ("policy", "accepted"),
    [
        ({"redrivePermission": "denyAll"}, False),
        ({"redrivePermission": "allowAll"}, True),
        (by_queue(ARN), False),
        (by_queue(), False),
        (by_queue(ARN, "arn:aws:sqs:us-east-1:111111111111:orders"), True),
        (by_queue(ARN, Fn.import_value("Orders")), True),
        ({"redrivePermission": Fn.import_value("Permission")}, True),
        (by_queue() | {"sourceQueueArns": Fn.split(",", Fn.import_value("Listed"))}, True),
        (Fn.condition_if("Prod", {"redrivePermission": "denyAll"}, by_queue()), True),
    ],
)
def test_a_dead_letter_queue_that_rejects_its_source_is_rejected(
    stack: Stack, policy: Any, accepted: bool
) -> None:
    letters = own_letters(stack)
    letters.node.default_child.redrive_allow_policy = policy  # type: ignore[union-attr]
    with rejected(None if accepted else r"Stack/Letters.*redrive allow policy"):
        check_own_queue(queue(stack, letters=letters, queue_name="orders"))


def test_a_dead_letter_queue_that_names_another_queue_of_the_app_is_rejected(stack: Stack) -> None:
    policy = sqs.RedriveAllowPolicy(source_queues=[sqs.Queue(stack, "Other")])
    with rejected("names other queues only"):
        check_own_queue(queue(stack, letters=own_letters(stack, redrive_allow_policy=policy)))


@pytest.mark.parametrize("by_reference", [True, False])
def test_a_dead_letter_queue_that_may_name_its_source_is_accepted(
    stack: Stack, by_reference: bool
) -> None:
    own = queue(stack)
    assert own.dead_letter_queue
    resource = own.dead_letter_queue.queue.node.default_child
    resource.redrive_allow_policy = by_queue(own.queue_arn if by_reference else ARN)  # type: ignore[union-attr]
    check_own_queue(own)  # a generated name may be any, so another ARN may be this queue's


# How much the consumer may run


RESERVES_0 = r"consumer reserves 0 concurrent.*Reserve 2 or more"
BELOW_TWO = r"reserves only 1 .*below 2.*another function.*reserve 2"
UNKNOWN = int(Token.as_number(Fn.import_value("Reserved")))
AT_DEPLOYMENT = pytest.param(UNKNOWN, 10, id="only deployment knows")


@pytest.mark.parametrize(
    ("reserved", "settings", "problem"),
    [
        (0, {}, RESERVES_0),
        (0, {"max_concurrency": 2}, RESERVES_0),
        (0, {"provisioned_pollers": pollers(2, 2)}, RESERVES_0),
        (1, {}, BELOW_TWO),
        (1, {"max_concurrency": 2}, BELOW_TWO),
        (29, {"provisioned_pollers": pollers(2, 3)}, "maximum of pollers to 2, or reserve 30"),
        (1999, {"provisioned_pollers": pollers(2)}, "maximum of pollers to 199"),
        (2000, {"provisioned_pollers": pollers(2)}, None),
    ],
)
def test_a_consumer_that_may_run_less_than_it_is_called_is_rejected(
    stack: Stack, reserved: int, settings: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        consume(stack, reserved, **settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"batch_size": 11}, "it must be 1 to 10"),
        ({"max_batching_window": Duration.seconds(301)}, "it must be 1 to 300 s"),
        ({"max_concurrency": 1}, "it must be 2 to 1000"),
        ({"max_concurrency": 5, "provisioned_pollers": pollers(2, 3)}, "takes one of them"),
        ({"provisioned_pollers": pollers(5, 4)}, "minimum not above the maximum"),
        (
            {"queue": NewQueue(fifo=True), "max_batching_window": Duration.seconds(1)},
            "have no batching window",
        ),
        ({"queue": NewQueue(**SHORT)}, "5 receives of 60 s take 300 s"),
        (
            {"queue": NewQueue(visibility_timeout=Duration.seconds(59))},
            "The new queue hides a message for 59 s",
        ),
    ],
)
def test_a_mapping_that_lambda_would_reject_or_that_loses_messages_is_rejected(
    stack: Stack, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        consume(stack, **settings)


@pytest.mark.parametrize(
    ("reserved", "limit"), [(None, 10), (2, 2), (7, 7), (1000, 1000), (1001, 1000), AT_DEPLOYMENT]
)
def test_the_default_concurrency_is_what_is_reserved_and_lambda_takes(
    stack: Stack, reserved: int | None, limit: int
) -> None:
    consume(stack, reserved)
    (mapping,) = properties(stack, "Lambda::EventSourceMapping")
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": limit}


def test_provisioned_pollers_replace_the_concurrency_limit(stack: Stack) -> None:
    consume(stack, provisioned_pollers=pollers(2, 20))
    (mapping,) = properties(stack, "Lambda::EventSourceMapping")
    assert mapping["ProvisionedPollerConfig"] == {"MinimumPollers": 2, "MaximumPollers": 20}
    assert "ScalingConfig" not in mapping


@pytest.mark.parametrize("aliases", [1, 2])
@pytest.mark.parametrize(
    ("second", "problem"), [(5, None), (6, r"the 5 of its other mappings.*reserves only 10")]
)
def test_mappings_of_a_function_or_its_aliases_that_call_more_than_it_may_run_are_rejected(
    stack: Stack, aliases: int, second: int, problem: str | None
) -> None:
    consumer = function(stack, reserved_concurrent_executions=10)
    first = consumer if aliases == 1 else consumer.add_alias("test")
    SqsToLambda(stack, "First", consumer=Consumer(first, max_concurrency=5))
    again = Consumer(consumer.add_alias("live"), max_concurrency=second)
    with rejected(problem):
        SqsToLambda(stack, "Second", consumer=again)


@pytest.mark.parametrize("version", [3, "1.2.0"])
def test_a_function_of_a_class_of_your_own_may_have_a_version(
    stack: Stack, version: object
) -> None:
    class Release(lambda_.Function):
        lambda_ = None

    code = lambda_.Code.from_inline("def handler(event, context): ...")
    runtime = lambda_.Runtime.PYTHON_3_14
    consumer = Release(stack, "Own", runtime=runtime, handler="index.handler", code=code)
    consumer.version = version  # type: ignore[attr-defined]
    assert function_of(consumer) is consumer
    SqsToLambda(stack, "Block", consumer=consumer)
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("imported"))


def test_functions_of_this_app_are_not_warned_of(stack: Stack) -> None:
    consumer = function(stack)
    alias = lambda_.Alias.from_alias_attributes(
        stack, "Alias", alias_name="live", alias_version=consumer.current_version
    )
    for number, one in enumerate((consumer, alias, consumer.latest_version)):
        assert function_of(one) is consumer
        SqsToLambda(stack, f"Block{number}", consumer=one)
    Annotations.from_stack(stack).has_no_warning("*", Match.string_like_regexp("imported"))


# Imported queues and functions


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        (
            {"max_batching_window": Duration.seconds(6), "max_concurrency": 7},
            ("timeout", "at most 9 s", "at least 7"),
        ),
        ({"provisioned_pollers": pollers(2, 4)}, ("at most 10 s", "at least 40")),
    ],
)
def test_an_imported_consumer_is_told_how_long_it_may_run(
    stack: Stack, settings: dict[str, Any], texts: tuple[str, ...]
) -> None:
    consumer = Consumer(imported_function(stack), **settings)
    SqsToLambda(stack, "Block", consumer=consumer, queue=queue(stack))
    warned_once(stack, *texts)


def test_an_imported_consumer_of_an_imported_queue_is_told_the_rule(stack: Stack) -> None:
    queue = sqs.Queue.from_queue_arn(stack, "TheirQueue", ARN)
    SqsToLambda(stack, "Block", consumer=imported_function(stack), queue=queue)
    warned_once(stack, "a sixth of the queue's visibility timeout", "at least 10")


def test_a_consumer_imported_without_its_role_is_rejected(stack: Stack) -> None:
    consumer = lambda_.Function.from_function_arn(stack, "Imported", FUNCTION_ARN)
    with rejected("Stack/Imported was imported without its role"):
        SqsToLambda(stack, "Block", consumer=consumer, queue=queue(stack))


@pytest.mark.parametrize(
    ("seconds", "problem"), [(5, r"Stack/Queue hides a message for 5 s.*needs 6 s"), (6, None)]
)
def test_a_visibility_timeout_that_is_too_short_for_any_function_is_rejected(
    stack: Stack, seconds: int, problem: str | None
) -> None:
    own = queue(stack, visibility_timeout=Duration.seconds(seconds))
    with rejected(problem):
        SqsToLambda(stack, "Block", consumer=imported_function(stack), queue=own)


def test_an_imported_dead_letter_queue_is_told_how_long_it_must_keep_messages(
    stack: Stack,
) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", LETTERS)
    check_own_queue(queue(stack, letters=letters, retention_period=Duration.days(3)))
    warned_once(stack, "longer than 3 days", "redrive allow policy", "Stack/Queue")


def test_of_an_imported_fifo_dead_letter_queue_only_the_policy_matters(stack: Stack) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", f"{LETTERS}.fifo")
    own = queue(stack, letters=letters, fifo=True, retention_period=Duration.days(14))
    check_own_queue(own)
    warned_once(stack, "checked: a redrive allow policy must allow")


def test_no_imported_dead_letter_queue_keeps_messages_longer_than_14_days(stack: Stack) -> None:
    letters = sqs.Queue.from_queue_arn(stack, "Theirs", LETTERS)
    with rejected("expires early. Lower the retention period of Stack/Queue"):
        check_own_queue(queue(stack, letters=letters, retention_period=Duration.days(14)))


def test_an_imported_queue_with_its_key_is_not_asked_for_it(stack: Stack) -> None:
    key_arn = "arn:aws:kms:us-east-1:111111111111:key/1"
    theirs = sqs.Queue.from_queue_attributes(stack, "Theirs", queue_arn=ARN, key_arn=key_arn)
    check_own_queue(theirs)
    found = Annotations.from_stack(stack).find_warning("/Stack/Theirs", Match.any_value())
    assert all("key_arn" not in str(one.entry.data) for one in found)
