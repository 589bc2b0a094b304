"""Queues of answers, which requesters make: what they are told of them, and who may use them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from constructs import Construct

from serverless_patterns.lambdas.foundation import replies
from serverless_patterns.patterns.blocks.answers import AnswerQueues, check_times
from serverless_patterns.patterns.blocks.consumers import Consumer
from serverless_patterns.patterns.limits import SQS_QUEUE_NAME
from tests.inline import function, granted, rejected, text

SECONDS = Duration.seconds
WHERE = "arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>"


def make(
    stack: Stack, timeout: float = 60, idle: float = 1800, name: str = "Quotes", **settings: Any
) -> AnswerQueues:
    scope = Construct(stack, name)
    return AnswerQueues(scope, sqs.Queue(scope, "Queue", **settings), timeout, idle)


def told(stack: Stack, made: AnswerQueues) -> dict[str, Any]:
    """Return what a requester is told, with names of resources in place of theirs."""
    found: dict[str, Any] = json.loads(text(stack.resolve(made.told_to_requesters)))
    return found


def test_answer_queues_are_encrypted_require_tls_and_keep_no_answer_that_nobody_waits_for(
    stack: Stack,
) -> None:
    made = make(stack, timeout=77, idle=720)
    found, prefix = told(stack, made), text(stack.resolve(made.prefix))
    assert (found["prefix"], found["timeout"], found["heartbeat"]) == (prefix, 77, 120)
    attributes = found["attributes"]
    assert attributes["SqsManagedSseEnabled"] == "true"
    assert attributes["MessageRetentionPeriod"] == "77"
    [statement] = json.loads(attributes["Policy"])["Statement"]
    assert statement == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": f"{WHERE}:{prefix}*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_sqs_keeps_an_answer_for_a_minute_at_least(stack: Stack) -> None:
    assert told(stack, make(stack, timeout=5))["attributes"]["MessageRetentionPeriod"] == "60"


def test_the_sweep_and_the_responder_know_the_queues_by_their_name(stack: Stack) -> None:
    made = make(stack, idle=1_209_600)
    url = "https://sqs.<AWS::Region>.<AWS::URLSuffix>/<AWS::AccountId>/"
    assert text(stack.resolve(made.url)) == url + text(stack.resolve(made.prefix))
    assert made.told_to_sweep == {"ANSWERS_URL": made.url, "IDLE_SECONDS": "1209600"}


def test_the_names_of_answer_queues_are_short_enough_and_those_of_each_construct_are_its_own(
    stack: Stack,
) -> None:
    long = "TheNameOfAConstructThatIsVeryLongIndeed"
    paths = {
        text(stack.resolve(make(stack, name=name).prefix)).removesuffix("<AWS::StackId>-")
        for name in (long, f"{long}2")
    }
    assert len(paths) == 2
    assert all(len(path) + 36 + 2 + replies.NAME_LENGTH <= SQS_QUEUE_NAME for path in paths)


def test_a_customer_key_encrypts_answers_too_and_the_responder_may_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, encryption_master_key=key)
    attributes = told(stack, made)["attributes"]
    assert attributes["KmsMasterKeyId"] == "<Key>"
    assert "SqsManagedSseEnabled" not in attributes
    role = iam.Role(stack, "Answers", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    made.grant_answer(role)
    allowed = granted(Template.from_stack(stack), "Answers")
    assert {("kms:Decrypt", "<Key>"), ("kms:GenerateDataKey", "<Key>")} <= allowed


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"timeout": 0}, "timeout is 0 s; it must be 1 s to 14 days"),
        ({"timeout": 1_296_000}, "timeout is 15 days; it must be 1 s to 14 days"),
        ({"idle": 299}, "idle is 299 s; it must be 300 s or more"),
    ],
)
def test_times_that_lose_answers_are_rejected(
    stack: Stack, given: dict[str, float], problem: str
) -> None:
    with rejected(problem):
        make(stack, **given)  # type: ignore[arg-type]


# Times that fit


@pytest.mark.parametrize(
    ("timeout", "hidden", "queue", "window", "problem"),
    [
        (
            60,
            60,
            {},
            0,
            "hides a request for 60 s, but its requester waits for 60 s.*second atte",
        ),
        (
            60,
            5,
            {"delivery_delay": SECONDS(60)},
            0,
            "delays a request by 60 s.*none is answered",
        ),
        (80, 30, {"delivery_delay": SECONDS(50)}, 0, r"for 30 s \(with 50 s of delay, 80 s\)"),
        (70, 50, {}, 20, r"for 50 s \(with 20 s of batching window, 70 s\)"),
    ],
)
def test_a_second_attempt_that_comes_when_nobody_waits_is_rejected(
    stack: Stack, timeout: int, hidden: int, queue: dict[str, Any], window: int, problem: str
) -> None:
    own = sqs.Queue(stack, "Own", visibility_timeout=SECONDS(hidden), **queue)
    consumer = Consumer(function(stack), max_batching_window=SECONDS(window)) if window else None
    with rejected(f"Stack/Own .*{problem}"):
        check_times(own, consumer, timeout)
    check_times(own, consumer, timeout + 10)


def test_requests_that_are_deleted_while_somebody_waits_are_rejected(stack: Stack) -> None:
    queue = sqs.Queue(stack, "Own", retention_period=SECONDS(300))
    with rejected("Stack/Own keeps a request for 300 s, but its requester waits for 301 s"):
        check_times(queue, None, 301)
    check_times(queue, None, 300)
