"""Where Lambda may send records: a place that would lose them is rejected, or warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from serverless_patterns.patterns.blocks.destinations import Target
from tests.inline import function, rejected, warned

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Stack], Any]

ACCOUNT = "111111111111"
ARN = f"arn:aws:{{}}:us-east-1:{ACCOUNT}:theirs"


def queue(stack: Stack, suffix: str = "") -> sqs.IQueue:
    return sqs.Queue.from_queue_arn(stack, "Theirs", ARN.format("sqs") + suffix)


def disabled(stack: Stack) -> sqs.Queue:
    key = kms.Key(stack, "Key", enabled=False)
    return sqs.Queue(stack, "Queue", encryption_master_key=key)


def imported(stack: Stack) -> lambda_.IFunction:
    role = iam.Role.from_role_arn(stack, "Role", f"arn:aws:iam::{ACCOUNT}:role/imported")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:theirs"
    return lambda_.Function.from_function_attributes(
        stack, "Theirs", function_arn=arn, role=role, same_environment=True
    )


LOSSY: dict[str, tuple[Make, str]] = {
    "FIFO queue": (lambda s: sqs.Queue(s, "Queue", fifo=True), "{} is a FIFO queue"),
    "imported FIFO queue": (lambda s: queue(s, ".fifo"), "{} is a FIFO queue"),
    "FIFO topic": (lambda s: sns.Topic(s, "Topic", fifo=True), "{} is a FIFO topic"),
    "stream": (lambda s: kinesis.Stream(s, "Stream"), "{} is a Stream, but Lambda sends"),
    "key": (disabled, "The key of Stack/Queue is Stack/Key, which is disabled"),
}


@pytest.mark.parametrize("name", ["on_success", "on_failure", "dead_letter_queue"])
@pytest.mark.parametrize("kind", LOSSY)
def test_a_destination_that_would_lose_records_is_rejected(
    stack: Stack, kind: str, name: str
) -> None:
    make, problem = LOSSY[kind]
    with pytest.raises(ValueError, match=problem.format(name)):
        Target.of(name, make(stack)).check(stack, function(stack))


@pytest.mark.parametrize(
    ("region", "account", "place"),
    [("eu-west-1", ACCOUNT, "Region eu-west-1"), ("us-east-1", "2" * 12, "account 222222222222")],
)
@pytest.mark.parametrize("name", ["function", "on_success", "on_failure", "dead_letter_queue"])
def test_a_resource_of_another_account_or_region_is_rejected(
    name: str, region: str, account: str, place: str
) -> None:
    here = Stack(App(), "Here", env=Environment(account=ACCOUNT, region="us-east-1"))
    theirs: Any = sqs.Queue.from_queue_arn(here, "Theirs", f"arn:aws:sqs:{region}:{account}:theirs")
    if name == "function":
        arn = f"arn:aws:lambda:{region}:{account}:function:theirs"
        role = iam.Role.from_role_arn(here, "Role", f"arn:aws:iam::{account}:role/theirs")
        theirs = lambda_.Function.from_function_attributes(
            here, "Function", function_arn=arn, role=role
        )
    settings: Any = {"function": function(here)} | {name: theirs}
    with pytest.raises(ValueError, match=f"{name}.* is in {place}, but "):
        AsyncLambda(here, "Pattern", **settings)


KEPT = "retention period only, 4 days unless it is raised.*key_arn"
IMPORTED: list[tuple[str, Make, str]] = [
    ("on_failure", queue, f"queue is imported.*on_failure.*{KEPT}"),
    ("dead_letter_queue", queue, f"imported.*dead_letter_queue.*{KEPT}"),
    (
        "on_failure",
        lambda s: sns.Topic.from_topic_arn(s, "Theirs", ARN.format("sns")),
        "topic is imported.*subscribe.*key_arn",
    ),
    ("on_success", imported, "function is imported.*on_success.*reserve 0"),
    (
        "on_failure",
        lambda s: events.EventBus.from_event_bus_name(s, "Theirs", "theirs"),
        "event bus is imported.*a rule must match",
    ),
    (
        "on_failure",
        lambda s: s3.Bucket.from_bucket_name(s, "Theirs", "theirs"),
        "bucket is imported.*policy.*encryption_key",
    ),
]


@pytest.mark.parametrize(("name", "make", "told"), IMPORTED)
def test_an_imported_destination_is_told_what_it_needs(
    stack: Stack, name: str, make: Make, told: str
) -> None:
    Target.of(name, make(stack)).check(stack, function(stack))
    warned(stack, told)


def test_the_functions_own_imported_dead_letter_queue_is_told_too(stack: Stack) -> None:
    AsyncLambda(stack, "Pattern", function=function(stack, dead_letter_queue=queue(stack)))
    warned(stack, f"imported.*dead_letter_queue.*{KEPT}")


def test_a_key_of_new_queues_is_of_the_functions_region() -> None:
    app = App()
    here, there = (
        Stack(app, region, env=Environment(account=ACCOUNT, region=region))
        for region in ("eu-west-1", "us-east-1")
    )
    with rejected("encryption_key is a key of the Region us-east-1"):
        AsyncLambda(here, "A", function=function(here), encryption_key=kms.Key(there, "Key"))
