"""What SNS needs to deliver to an endpoint, a function or Firehose from a standard topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import Fn
from aws_cdk import aws_sns as sns
from constructs import Construct

from serverless_patterns.patterns.blocks.alarms import Alarms
from serverless_patterns.patterns.blocks.sources import Source
from serverless_patterns.patterns.blocks.subscribers import deliver_to_endpoint
from serverless_patterns.patterns.blocks.subscriptions import Delivery, Subscription
from serverless_patterns.patterns.blocks.values import seconds
from tests.inline import properties, rejected

if TYPE_CHECKING:
    from aws_cdk import Stack

URL = "https://partner.example.com/orders"
RAW = Subscription(raw_message_delivery=True)
Json = dict[str, Any]


def post(
    stack: Stack,
    url: str = URL,
    settings: Subscription = Subscription(),  # noqa: B008 - frozen
    **given: Any,
) -> Delivery:
    source = Source(sns.Topic(stack, "Topic"))
    return deliver_to_endpoint(
        Construct(stack, "Partner"), source, url, settings, alarms=Alarms(), **given
    )


def subscription(stack: Stack) -> Json:
    (found,) = properties(stack, "SNS::Subscription")
    return found


def retries(**given: Any) -> sns.DeliveryPolicy:
    return sns.DeliveryPolicy(healthy_retry_policy=sns.HealthyRetryPolicy(**given))


def test_an_endpoint_gets_signed_messages_with_retries_for_most_of_an_hour(stack: Stack) -> None:
    made = post(stack)
    found = subscription(stack)
    assert (found["Protocol"], found["Endpoint"]) == ("https", URL)
    assert found["RawMessageDelivery"] is False  # a raw message has no signature
    assert found["RedrivePolicy"]["deadLetterTargetArn"] == stack.resolve(
        made.dead_letter_queue.queue_arn
    )
    assert found["DeliveryPolicy"] == {
        "healthyRetryPolicy": {
            "numRetries": 14,
            "numNoDelayRetries": 0,
            "numMinDelayRetries": 2,
            "numMaxDelayRetries": 8,
            "minDelayTarget": 20,
            "maxDelayTarget": 300,
            "backoffFunction": "exponential",
        }
    }


def test_an_endpoint_can_have_raw_messages_of_its_content_type_at_its_rate(stack: Stack) -> None:
    policy = sns.DeliveryPolicy(
        throttle_policy=sns.ThrottlePolicy(max_receives_per_second=5),
        request_policy=sns.RequestPolicy(header_content_type="text/csv"),
    )
    post(stack, settings=RAW, delivery_policy=policy)
    assert subscription(stack)["RawMessageDelivery"] is True
    assert subscription(stack)["DeliveryPolicy"] == {
        "throttlePolicy": {"maxReceivesPerSecond": 5},
        "requestPolicy": {"headerContentType": "text/csv"},
    }


def test_a_url_that_only_deployment_knows_is_taken(stack: Stack) -> None:
    post(stack, Fn.import_value("Url"))
    assert subscription(stack)["Endpoint"] == {"Fn::ImportValue": "Url"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"url": "http://partner.example.com/"}, "The endpoint of Stack/Partner has no TLS"),
        ({"delivery_policy": "often"}, "delivery_policy is 'often'; it must be of type"),
        ({"delivery_policy": retries(num_retries=61, min_delay_target=seconds(60))}, "from 60 s"),
        ({"delivery_policy": retries(num_min_delay_retries=4)}, "has 3 retries, but 4 in its"),
        (
            {"delivery_policy": retries(num_retries=62, max_delay_target=seconds(60),
                                        min_delay_target=seconds(60))},
            "delivery_policy of Stack/Partner takes 1 hour 2 minutes or more",
        ),
        (
            {"delivery_policy": sns.DeliveryPolicy(
                throttle_policy=sns.ThrottlePolicy(max_receives_per_second=0.5))},
            "0.5 deliveries a second; give a whole number",
        ),
        (
            {"delivery_policy": sns.DeliveryPolicy(
                request_policy=sns.RequestPolicy(header_content_type="text/csv"))},
            "sends text/csv, but what is not raw is",
        ),
    ],
)  # fmt: skip
def test_what_sns_would_reject_or_anybody_could_read_is_rejected(
    stack: Stack, given: Json, problem: str
) -> None:
    with rejected(problem):
        post(stack, **given)
