"""How the contract suites make the topic with an endpoint, a signed subscriber, and a receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_webhook.construct import (
    Alarms,
    NewTopic,
    SnsWebhook,
    WebhookReceiver,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topics import QueueSubscriber

URL = "https://partner.example.com/hook"


def make(
    stack: Stack, construct_id: str = "Webhook", *, key: Any = None, **given: Any
) -> SnsWebhook:
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
    webhook = SnsWebhook(stack, construct_id, **given)
    webhook.add_endpoint("Endpoint", url=URL)
    webhook.add_queue("Subscriber", consumer=function(stack, f"{construct_id}Consumer"))
    return webhook


def make_subscriber(
    stack: Stack,
    construct_id: str = "Webhook",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
    consumer: Any = None,
    **settings: Any,
) -> QueueSubscriber:
    webhook = SnsWebhook(stack, construct_id, alarms=alarms)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return webhook.add_queue("Subscriber", consumer=consumer, **settings)


def make_receiver(stack: Stack, construct_id: str = "Receiver", **given: Any) -> WebhookReceiver:
    topic = "arn:aws:sns:us-east-1:123456789012:changes"
    receiver: Any = function(stack, f"{construct_id}Function")
    return WebhookReceiver(stack, construct_id, function=receiver, topics=[topic], **given)


BUILDS = [
    Build("sns_webhook", make, frozenset({"topic", "alarms"})),
    Build("sns_webhook subscriber", make_subscriber, frozenset({"queue", "consumer", "alarms"})),
    Build("sns_webhook receiver", make_receiver, frozenset({"alarms"})),
]
