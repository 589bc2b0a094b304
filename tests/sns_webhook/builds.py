"""How the contract suites make the topic with an endpoint, a signed subscriber, and a receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws
from aws_cdk import aws_sns as sns

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

    from serverless_patterns.patterns.blocks.topic_subscribers import EndpointSubscriber
    from serverless_patterns.patterns.blocks.topics import QueueSubscriber

URL = "https://partner.example.com/hook"
TOPIC = f"arn:{Aws.PARTITION}:sns:us-east-1:123456789012:changes"


def make(
    stack: Stack, construct_id: str = "Webhook", *, key: Any = None, **given: Any
) -> SnsWebhook:
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
    resource = getattr(given.get("topic"), "node", None) and given["topic"].node.default_child
    if isinstance(resource, sns.CfnTopic):
        resource.signature_version = "2"  # or it is rejected
    webhook = SnsWebhook(stack, construct_id, **given)
    webhook.add_queue("Subscriber", consumer=function(stack, f"{construct_id}Consumer"))
    return webhook


def make_subscriber(
    stack: Stack, construct_id: str = "Webhook", *, consumer: Any = None, **given: Any
) -> QueueSubscriber:
    webhook = SnsWebhook(stack, construct_id, alarms=given.pop("alarms", Alarms()))
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return webhook.add_queue("Subscriber", consumer=consumer, **given)


def make_endpoint(
    stack: Stack,
    construct_id: str = "Webhook",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
) -> EndpointSubscriber:
    return SnsWebhook(stack, construct_id, alarms=alarms).add_endpoint("Endpoint", url=URL)


def make_receiver(stack: Stack, construct_id: str = "Receiver", **given: Any) -> WebhookReceiver:
    receives = "lambdas.sns_webhook.receiver.handler"  # its calls are those of our code
    receiver = function(stack, f"{construct_id}Function", handler=receives)
    given = {"topics": [TOPIC]} | given
    return WebhookReceiver(stack, construct_id, function=receiver, **given)


BUILDS = [
    Build("sns_webhook", make, frozenset({"topic", "alarms"})),
    Build("sns_webhook subscriber", make_subscriber, frozenset({"queue", "consumer", "alarms"})),
    Build("sns_webhook endpoint", make_endpoint, frozenset({"alarms"})),
    Build("sns_webhook receiver", make_receiver, frozenset({"alarms"})),
]
