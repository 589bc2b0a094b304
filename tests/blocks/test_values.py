"""What a value must be, and how a time is said."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_events import RuleTargetInput

from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.blocks.values import expect, in_seconds, known_seconds, seconds
from serverless_patterns.patterns.checks import period
from serverless_patterns.patterns.sns_fanout.construct import SnsFanout
from serverless_patterns.patterns.sns_fifo_fanout.construct import NewTopic as FifoTopic
from tests.inline import function, rejected
from tests.stacks import counted_calls

ARN = "arn:aws:lambda:us-east-1:111111111111:function:theirs:1"


def test_a_value_of_the_right_type_passes_imported_or_not(stack: Stack) -> None:
    version = lambda_.Version.from_version_arn(stack, "Version", ARN)
    alias = lambda_.Alias.from_alias_attributes(
        stack, "Alias", alias_name="live", alias_version=version
    )
    given: list[tuple[Any, Any]] = [
        (function(stack), "IFunction"),
        (lambda_.Function.from_function_arn(stack, "Theirs", ARN), "IFunction"),
        (alias, "IFunction"),
        (kms.Alias.from_alias_name(stack, "Key", "alias/shop"), "IKey"),
        (NewQueue(), NewQueue),
        (Duration.seconds(1), Duration),
        (3, int),
        (-1e300, int),  # a token
        (None, None),
    ]
    for value, kind in given:
        expect("argument", value, kind)


@pytest.mark.parametrize(
    ("value", "allowed", "problem"),
    [
        ("arn:x", ("IQueue", NewQueue), "^argument is 'arn:x'; it must be of type IQueue or NewQ"),
        ({"fifo": True}, (NewQueue,), r"is {'fifo': True}; .* such as NewQueue\(…\)"),
        ("$.detail", (RuleTargetInput,), r"such as RuleTargetInput.from_event_path\(…\)"),
        (30, (Duration, None), r"is 30; .* type Duration, such as Duration.seconds\(30\)\.$"),
        (2.5, (int,), r"is 2.5; it must be of type int\.$"),
        (Duration.millis(1500), (Duration, None), "is 1500 ms; it must be whole seconds"),
        (Duration.minutes(-1.8881545897087503e289), (Duration,), "minutes; it must be whole sec"),
        (True, (int,), "is True"),
        (None, (str,), "is None; it must be of type str"),
        (["x"] * 99, (str,), "is .* …; it must"),
    ],
)
def test_a_value_of_a_wrong_type_is_rejected_with_what_it_must_be(
    value: Any, allowed: tuple[Any, ...], problem: str
) -> None:
    with rejected(problem):
        expect("argument", value, *allowed)


def test_a_time_that_only_deployment_knows_is_rejected_where_it_is_checked(stack: Stack) -> None:
    parameter = CfnParameter(stack, "Given", type="Number").value_as_number
    with rejected("timeout is known at deployment only"):
        known_seconds("timeout", Duration.seconds(parameter))


def test_a_resource_of_another_kind_is_named(stack: Stack) -> None:
    for made in (
        sqs.Queue(stack, "Queue"),
        sqs.Queue.from_queue_arn(stack, "Theirs", "arn:aws:sqs:us-east-1:111111111111:theirs"),
    ):
        with rejected("is a Queue; it must be of type ITopic"):
            expect("argument", made, "ITopic")


def test_settings_of_the_same_name_say_of_which_pattern_they_are(stack: Stack) -> None:
    with rejected(r"is a .*sns_fifo_fanout.topic.NewTopic; .* type .*sns_fanout.*NewTopic or ITop"):
        SnsFanout(stack, "Fanout", topic=FifoTopic())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(59.5, "59.5 s"), (300, "300 s"), (5400, "1 hour 30 minutes"), (345_601, "4 days 1 s")],
)
def test_a_time_is_said_in_natural_units(seconds: float, said: str) -> None:
    assert period(seconds) == said


def test_a_duration_that_was_made_here_is_known_without_asking(stack: Stack) -> None:
    token = CfnParameter(stack, "Wait", type="Number").value_as_number
    made = [seconds(count) for count in (61, 62.5, token)]
    with counted_calls() as calls:
        assert [in_seconds(one) for one in made] == [61, 62.5, None]
    assert not calls
