"""The promises of the constructs beyond those of every topic, queue, consumer and alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.sns_webhook.construct import SnsWebhook, Subscription
from tests.inline import properties

from .builds import TOPIC, URL, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_endpoint_gets_messages_signed_with_sha256_retries_and_a_dead_letter_queue_of_its_own(
    stack: Stack,
) -> None:
    webhook = SnsWebhook(stack, "Webhook")
    for name in ("First", "Second"):
        webhook.add_endpoint(name, url=f"{URL}/{name}")
    assert [one["SignatureVersion"] for one in properties(stack, "SNS::Topic")] == ["2"]
    found = [one for one in properties(stack, "SNS::Subscription") if one["Protocol"] == "https"]
    assert [one["RawMessageDelivery"] for one in found] == [False, False]
    assert all(one["DeliveryPolicy"]["healthyRetryPolicy"]["numRetries"] > 0 for one in found)
    assert len({str(one["RedrivePolicy"]) for one in found}) == 2


@pytest.mark.parametrize(
    "url",
    ["http://partner.example.com/", "https://10.0.0.8/", "https://localhost/",
     "https://169.254.169.254/", "https://[::1]/", "https://me:secret@partner.example.com/"],
)  # fmt: skip
def test_an_endpoint_of_a_private_network_or_without_tls_is_rejected(
    stack: Stack, url: str
) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        SnsWebhook(stack, "Webhook").add_endpoint("Endpoint", url=url)


RAW = Subscription(raw_message_delivery=True)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (
            lambda it: SnsWebhook(
                it, "Webhook", topic=sns.Topic(it, "Own", fifo=True, topic_name="own.fifo")
            ),
            r"Stack/Own is a FIFO topic.*no endpoint.*standard topic",
        ),
        (
            lambda it: SnsWebhook(it, "Webhook", topic=sns.Topic(it, "Own")),
            r"Stack/Own signs its messages with SHA1.*signature_version to 2",
        ),
        (
            lambda it: SnsWebhook(it, "Webhook").add_endpoint("To", url=URL, subscription=RAW),
            r"asks for raw delivery, which has no signature.*Leave raw_message_delivery out",
        ),
        (
            lambda it: make_receiver(it, max_age=Duration.hours(1)),
            r"max_age is 1 h.*reject what it retries last",
        ),
        (
            lambda it: make_receiver(it, topics=[]),
            "topics is empty, so every message would be rejected",
        ),
        (
            lambda it: make_receiver(it, topics="arn:aws:sns:eu-west-1:111111111111:Orders"),
            "topics is 'arn:aws:sns:.*'; it must be of type list or tuple",
        ),
    ],
)
def test_a_configuration_that_would_lose_or_reject_events_is_rejected(
    build: Callable[[Stack], Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        build(Stack(App(), "Stack"))


def test_a_message_id_is_kept_for_as_long_as_its_message_is_taken(stack: Stack) -> None:
    make_receiver(stack)
    (table,) = properties(stack, "DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    (received,) = properties(stack, "Lambda::Function")
    days = int(received["Environment"]["Variables"]["MAX_AGE_SECONDS"]) / 86_400
    assert days == 15


def test_an_alarm_tells_of_every_answer_for_which_sns_tries_again_or_gives_up(stack: Stack) -> None:
    """The receiver answers 503 by itself when its table is unavailable, which is no error."""
    make_receiver(stack)
    alarms = properties(stack, "CloudWatch::Alarm")
    assert {one["MetricName"] for one in alarms} == {"Url5xxCount", "Throttles", "Url4xxCount"}


def test_the_receiver_may_confirm_subscriptions_of_its_topics_only(stack: Stack) -> None:
    make_receiver(stack)
    policies = properties(stack, "IAM::Policy")
    allowed = [
        one["Resource"]
        for policy in policies
        for one in policy["PolicyDocument"]["Statement"]
        if one["Action"] == "sns:ConfirmSubscription"
    ]
    assert allowed == [stack.resolve(TOPIC)]
