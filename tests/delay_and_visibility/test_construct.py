"""The promises of the construct beyond those of every construct."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.delay_and_visibility.construct import (
    Alarms,
    Backoff,
    Consumer,
    DelayedQueue,
    Later,
    NewQueue,
    Worker,
)
from tests.inline import function, granted, only, properties, rejected, text, warned

FIFO = NewQueue(fifo=True)
BY_CONTENT = NewQueue(fifo=True, content_based_deduplication=True)
QUEUE = "AWS::SQS::Queue"
HALF_A_DAY = Duration.hours(12)


def seconds(count: int) -> Duration:
    return Duration.seconds(count)


def make(stack: Stack, **settings: Any) -> DelayedQueue:
    """Make it, with a function of 10 s that takes one message at a time."""
    consumer = settings.pop("consumer", None) or Consumer(function(stack), batch_size=1)
    return DelayedQueue(stack, "Orders", consumer=consumer, **settings)


def test_a_delay_of_the_queue_reaches_it(stack: Stack) -> None:
    make(stack, queue=NewQueue(delivery_delay=seconds(900)))
    assert only(Template.from_stack(stack), QUEUE, DelaySeconds=900)


def test_the_consumer_is_told_the_queue_and_its_delays(stack: Stack) -> None:
    made = make(stack, backoff=Backoff(first=seconds(5), factor=3, longest=seconds(600)))
    told = made.environment
    assert json.loads(told["BACKOFF"]) == {"first": 5, "factor": 3, "longest": 600}
    assert stack.resolve(told["QUEUE_URL"]) == stack.resolve(made.queue.queue_url)
    assert "HIDDEN_SECONDS" not in told


def test_a_worker_is_told_how_long_a_job_is_hidden_and_no_function_takes_its_messages(
    stack: Stack,
) -> None:
    made = make(stack, consumer=Worker(hidden=seconds(90), longest=seconds(7200)))
    told = made.environment
    assert (told["HIDDEN_SECONDS"], told["LONGEST_SECONDS"]) == ("90", "7200")
    letters = stack.resolve(made.dead_letter_queue.queue_url)
    assert stack.resolve(told["DEAD_LETTER_QUEUE_URL"]) == letters
    assert only(Template.from_stack(stack), QUEUE, VisibilityTimeout=90)
    assert made.event_source_mapping is None
    assert not properties(stack, "Lambda::EventSourceMapping")


def test_a_worker_may_receive_hide_and_delete_messages_and_dead_letter_them_no_more(
    stack: Stack,
) -> None:
    own = iam.Role(stack, "Worker", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
    made = make(stack, consumer=Worker(), queue=NewQueue(encryption_key=kms.Key(stack, "Key")))
    made.grant_consume_messages(own)
    allowed = granted(Template.from_stack(stack), "Worker")
    queue, letters = "<OrdersQueue>", "<OrdersDeadLetterQueue>"
    verbs = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    assert allowed == {
        *((f"sqs:{verb}", queue) for verb in verbs),
        ("sqs:SendMessage", letters),
        ("kms:Decrypt", "<Key>"),
        ("kms:GenerateDataKey", "<Key>"),
    }


def test_a_worker_uses_the_key_of_your_queue_and_of_its_dead_letter_queue(stack: Stack) -> None:
    of_queue, of_letters = kms.Key(stack, "OfQueue"), kms.Key(stack, "OfLetters")
    kept = sqs.Queue(
        stack, "Kept", encryption_master_key=of_letters, retention_period=Duration.days(14)
    )
    letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=5)
    own = sqs.Queue(stack, "Own", encryption_master_key=of_queue, dead_letter_queue=letters)
    role = iam.Role(stack, "Worker", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
    make(stack, consumer=Worker(), queue=own).grant_consume_messages(role)
    allowed = granted(Template.from_stack(stack), "Worker")
    assert {key for action, key in allowed if action == "kms:Decrypt"} == {
        "<OfQueue>", "<OfLetters>"
    }  # fmt: skip


def test_a_worker_beside_a_function_is_rejected(stack: Stack) -> None:
    with rejected("has a function that consumes the queue.*Give consumer=Worker"):
        make(stack).grant_consume_messages(function(stack, "Worker"))


# Later


def test_a_message_is_sent_later_by_a_role_for_this_queue_and_this_group_alone(
    stack: Stack,
) -> None:
    made = make(stack, later=Later())
    sender = function(stack, "Sender", environment=made.sender_environment)
    made.grant_send_messages(sender)
    template = Template.from_stack(stack)
    assert granted(template, "OrdersLaterRole") == {
        ("sqs:SendMessage", "<OrdersQueue>"),
        ("sqs:SendMessage", "<OrdersLaterDeadLetterQueue>"),
    }
    allowed = granted(template, "Sender")
    group = text(only(template, "AWS::Scheduler::ScheduleGroup")["Name"])
    assert {on for action, on in allowed if action == "scheduler:CreateSchedule"} == {
        f"arn:<AWS::Partition>:scheduler:<AWS::Region>:<AWS::AccountId>:schedule/{group}/*"
    }
    assert ("sqs:SendMessage", "<OrdersQueue>") in allowed
    assert ("iam:PassRole", "<OrdersLaterRole>") in allowed


def test_what_scheduler_cannot_send_has_alarms_and_waits_for_fourteen_days(stack: Stack) -> None:
    made = make(stack, later=Later())
    assert made.schedules
    letters = stack.resolve(made.schedules.dead_letter_queue.queue_arn)["Fn::GetAtt"][0]
    queues = Template.from_stack(stack).find_resources(QUEUE)
    assert queues[letters]["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    names = {one["MetricName"] for one in properties(stack, "CloudWatch::Alarm")}
    assert {"InvocationDroppedCount", "InvocationsFailedToBeSentToDeadLetterCount"} <= names


def test_a_sender_knows_up_to_when_sqs_delays_and_how_to_schedule_beyond(stack: Stack) -> None:
    plain = make(stack).sender_environment
    assert plain["MESSAGE_DELAY_SECONDS"] == "900"
    assert "SCHEDULE_REQUEST" not in plain
    fifo = DelayedQueue(
        stack, "Fifo", queue=BY_CONTENT, later=Later(),
        consumer=Consumer(function(stack, "Other"), batch_size=1),
    )  # fmt: skip
    assert fifo.sender_environment["MESSAGE_DELAY_SECONDS"] == "0"
    assert "DeadLetterConfig" in str(stack.resolve(fifo.sender_environment["SCHEDULE_REQUEST"]))


def test_messages_that_wait_for_scheduler_have_the_key_of_the_queue(stack: Stack) -> None:
    made = make(stack, queue=NewQueue(encryption_key=kms.Key(stack, "Key")), later=Later())
    assert made.schedules
    assert "KmsKeyArn" in str(stack.resolve(made.schedules.schedule_request))
    keyed = properties(stack, "SQS::Queue")
    assert all("Key" in str(queue["KmsMasterKeyId"]) for queue in keyed)
    assert ("kms:Decrypt", "<Key>") in granted(Template.from_stack(stack), "OrdersLaterRole")


@pytest.mark.parametrize("policy", [RemovalPolicy.RETAIN, RemovalPolicy.DESTROY])
def test_messages_that_are_not_due_outlive_the_construct_unless_told_otherwise(
    stack: Stack, policy: RemovalPolicy
) -> None:
    make(stack, later=Later(removal_policy=policy))
    (group,) = Template.from_stack(stack).find_resources("AWS::Scheduler::ScheduleGroup").values()
    assert group["DeletionPolicy"] == policy.name.title().replace("Destroy", "Delete")


def test_a_delay_of_a_message_in_a_fifo_queue_is_rejected(stack: Stack) -> None:
    with rejected("FIFO queue Stack/Orders/Queue a delay of their own: SQS rejects.*later=Later"):
        _ = make(stack, queue=FIFO).sender_environment


def test_a_schedule_to_a_fifo_queue_that_does_not_deduplicate_by_content_is_rejected(
    stack: Stack,
) -> None:
    with rejected("without MessageDeduplicationId: .*Set content_based_deduplication"):
        make(stack, queue=FIFO, later=Later())


def test_an_imported_fifo_queue_is_sent_to_with_a_warning_of_what_it_needs(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:theirs.fifo"
    consumer = Consumer(function(stack), batch_size=1)
    theirs = sqs.Queue.from_queue_arn(stack, "Theirs", arn)
    DelayedQueue(stack, "Orders", consumer=consumer, queue=theirs, later=Later())
    warned(stack, "it must deduplicate by content")


def test_a_queue_elsewhere_cannot_be_sent_to_later() -> None:
    here = Stack(App(), "Stack", env=Environment(account="111111111111", region="eu-west-1"))
    queue = sqs.Queue.from_queue_arn(here, "Theirs", "arn:aws:sqs:eu-west-1:222222222222:theirs")
    with rejected("queue .* is in account 222222222222"):
        make(here, queue=queue, later=Later())


# Delays


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"delivery_delay": seconds(901)}, "delivery_delay is 15 minutes 1 s.*0 s to 15 minutes"),
        (
            {"delivery_delay": seconds(900), "retention_period": seconds(900)},
            "delays messages by 15 minutes, but keeps them for 15 minutes only",
        ),
    ],
)
def test_a_delay_that_sqs_rejects_or_that_outlasts_a_message_is_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        NewQueue(**settings)


def test_a_delay_of_your_queue_that_outlasts_a_message_is_rejected(stack: Stack) -> None:
    kept = sqs.Queue(stack, "Kept", retention_period=Duration.days(14))
    own = sqs.Queue(
        stack, "Own", delivery_delay=seconds(600), retention_period=seconds(600),
        visibility_timeout=seconds(60),
        dead_letter_queue=sqs.DeadLetterQueue(queue=kept, max_receive_count=5),
    )  # fmt: skip
    with rejected("Stack/Own delays messages by 10 minutes"):
        make(stack, queue=own)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"first": Duration.millis(500)}, "first is 500 ms; it must be whole seconds"),
        ({"first": seconds(0)}, "first is 0 s"),
        ({"first": seconds(90), "longest": seconds(60)}, "longest no less than first"),
        ({"factor": 0.5}, "factor is 0.5; it must be a number of 1 or more"),
        ({"factor": float("nan")}, "factor is nan; it must be"),
        ({"factor": float("inf")}, "factor is inf; it must be"),
        ({"longest": Duration.hours(13)}, "longest is 13 hours.*0 s to 12 hours"),
    ],
)
def test_delays_that_are_none_shrink_or_that_sqs_rejects_are_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        Backoff(**settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"hidden": seconds(2)}, "hidden is 2 s.*must be 3 s or more"),
        ({"longest": seconds(30)}, "hidden is 60 s and longest 30 s"),
        ({"longest": Duration.hours(13)}, "longest 13 hours.*12 hours.*Split a longer job"),
    ],
)
def test_a_job_that_no_heartbeat_can_hide_is_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        Worker(**settings)


def test_delays_that_only_deployment_knows_are_rejected(stack: Stack) -> None:
    given = Duration.seconds(CfnParameter(stack, "Given", type="Number").value_as_number)
    with rejected("first is known at deployment only"):
        Backoff(first=given)
    with rejected("hidden is known at deployment only"):
        Worker(hidden=given)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"backoff": Backoff(longest=Duration.hours(12))},
            "longest is 12 hours.*hidden for 60 s.*Lower it to 11 hours 59 minutes or less",
        ),
        (
            {"queue": NewQueue(max_receive_count=200)},
            "200 receives of 60 s and the delays between them.*Raise the retention period above 8",
        ),
        (
            {
                "consumer": Worker(longest=Duration.hours(12)),
                "queue": NewQueue(max_receive_count=9),
            },
            "9 receives of 12 hours",
        ),
    ],
    ids=["12-hours", "retention", "worker"],
)
def test_retries_that_end_after_the_message_is_gone_are_rejected(
    stack: Stack, settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        make(stack, **settings)


def test_retries_count_the_delay_of_the_queue_and_the_last_second(stack: Stack) -> None:
    """Five receives of 60 s, four delays of 30, 60, 120 and 240 s, and the queue's 50 s: 800 s."""
    exact = {"delivery_delay": seconds(50), "retention_period": seconds(800)}
    with rejected("receives of 60 s and the delays between them, 500 s, take 13 minutes 20 s"):
        make(stack, queue=NewQueue(**exact))  # type: ignore[arg-type]
    one_more = exact | {"retention_period": seconds(801)}
    other = Consumer(function(stack, "Other"), batch_size=1)
    DelayedQueue(stack, "Kept", consumer=other, queue=NewQueue(**one_more))  # type: ignore[arg-type]


def test_a_fifo_queue_hands_over_one_message_at_a_time(stack: Stack) -> None:
    with rejected("batch_size=10: messages behind one that fails .* Set batch_size=1"):
        make(stack, consumer=Consumer(function(stack)), queue=FIFO)


# Alarms


def test_an_alarm_goes_off_before_so_many_messages_are_hidden_that_no_more_come(
    stack: Stack,
) -> None:
    made = make(stack)
    alarm = only(
        Template.from_stack(stack), "AWS::CloudWatch::Alarm",
        MetricName="ApproximateNumberOfMessagesNotVisible",
    )  # fmt: skip
    assert alarm["Threshold"] == 96_000
    assert alarm["Dimensions"][0]["Value"] == stack.resolve(made.queue.queue_name)


@pytest.mark.parametrize(
    ("settings", "age"),
    [
        ({}, 900 + 60 + 30),
        ({"consumer": Worker()}, 900 + 3600 + 30),
        ({"queue": NewQueue(delivery_delay=seconds(600))}, 900 + 600 + 60 + 30),
        ({"alarms": Alarms(max_age=seconds(77))}, 77),
    ],
    ids=["function", "worker", "delay", "yours"],
)
def test_no_alarm_goes_off_for_a_message_that_waits_as_it_should(
    stack: Stack, settings: dict[str, Any], age: int
) -> None:
    make(stack, **settings)
    alarm = only(
        Template.from_stack(stack), "AWS::CloudWatch::Alarm",
        MetricName="ApproximateAgeOfOldestMessage",
    )  # fmt: skip
    assert alarm["Threshold"] == age
