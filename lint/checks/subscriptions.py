"""What SNS does not deliver, or rejects, by the endpoint of a subscription."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.checks import sns

from .. import wiring
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINTS = ("http", "https")
PHASES = ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")


def _by_protocol(scenario: Scenario) -> Iterator[tuple[Resource, str]]:
    """Yield every subscription whose protocol is known."""
    for subscription in wiring.subscriptions(scenario):
        protocol = subscription.get("Protocol")
        if isinstance(protocol, str) and not is_unknown(protocol):
            yield subscription, protocol.lower()


@rule("W9211", "sns", shared=sns.https_endpoint)
def endpoint_without_tls(scenario: Scenario) -> Findings:
    """An endpoint of a topic must be public, with TLS and without a secret in its URL.

    SNS posts messages to HTTP endpoints as plain text, and cannot reach a private address. Use an
    https:// URL with a domain name, and let the endpoint verify the signature.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html
    """
    for subscription, protocol in _by_protocol(scenario):
        url = subscription.get("Endpoint")
        if protocol in ENDPOINTS and isinstance(url, str) and not is_unknown(url):
            name = f"The endpoint of {subscription}"
            yield Finding(subscription, sns.https_endpoint(name, url), ("Endpoint",))


@rule("E9212", "sns", shared=sns.large_messages)
def large_messages_to_an_endpoint(scenario: Scenario) -> Findings:
    """A topic of large messages delivers to queues, functions and Firehose only.

    With a MaximumMessageSize above {SNS_MESSAGE_BYTES} bytes, SNS rejects subscriptions of other
    protocols, and more than {SNS_LARGE_SUBSCRIPTIONS} of them. Lower it, or use a second topic.

    Source: https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
    """
    counts: dict[str, int] = {}
    for subscription, protocol in _by_protocol(scenario):
        topic = scenario.find(subscription.get("TopicArn"), "AWS::SNS::Topic")
        size = topic.number("MaximumMessageSize") if topic else None
        if topic and size is not None:
            counts[topic.id] = counts.get(topic.id, 0) + 1
            problem = sns.large_messages(topic, size, protocol, counts[topic.id])
            yield Finding(subscription, problem, ("Protocol",))


@rule("E9213", "sns", shared=sns.http_retries)
def retries_of_an_endpoint(scenario: Scenario) -> Findings:
    """The retries of an endpoint must fit into the time that SNS gives them.

    SNS rejects a delivery policy that takes longer than {SNS_HTTP_RETRY_TIME} s, whose shortest
    delay is above its longest, or whose phases have more retries than numRetries. Change them.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
    """
    for subscription, protocol in _by_protocol(scenario):
        given = _retries(subscription.get("DeliveryPolicy"))
        if protocol not in ENDPOINTS or given is None:
            continue
        defaults = {key: sns.DEFAULT_RETRIES.get(key, 0) for key in (*sns.DEFAULT_RETRIES, *PHASES)}
        values = [given.get(key, default) for key, default in defaults.items()]
        if all(isinstance(value, int | float) for value in values):
            shortest, longest, retries, *phases = values
            name = f"The delivery policy of {subscription}"
            problem = sns.http_retries(name, retries, (shortest, longest), tuple(phases))
            yield Finding(subscription, problem, ("DeliveryPolicy",))


@rule("I9214", "sns", shared=sns.signature)
def endpoint_of_a_topic_that_signs_with_sha1(scenario: Scenario) -> Findings:
    """A topic with an endpoint should sign its messages with SHA256.

    By default SNS signs with SHA1, which a careful receiver rejects. Set SignatureVersion to 2.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    for subscription, protocol in _by_protocol(scenario):
        topic = scenario.find(subscription.get("TopicArn"), "AWS::SNS::Topic")
        if protocol in ENDPOINTS and topic and not is_unknown(topic.get("SignatureVersion")):
            yield Finding(topic, sns.signature(topic, topic.get("SignatureVersion")), ())


@rule("I9215", "sns", shared=sns.unsigned)
def raw_delivery_to_an_endpoint(scenario: Scenario) -> Findings:
    """An endpoint should get signed messages, which raw delivery does not have.

    Whoever knows its URL can post to it. Leave RawMessageDelivery out, or let the endpoint know the
    sender otherwise.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
    """
    for subscription, protocol in _by_protocol(scenario):
        raw = str(subscription.get("RawMessageDelivery")).lower() == "true"
        if protocol in ENDPOINTS:
            problem = sns.unsigned(f"The endpoint of {subscription}", raw=raw)
            yield Finding(subscription, problem, ("RawMessageDelivery",))


def _retries(policy: Any) -> Mapping[str, Any] | None:
    """Return the retry policy of a subscription, if it is known."""
    if isinstance(policy, str) and not is_unknown(policy):
        try:
            policy = json.loads(policy)
        except ValueError:
            return None
    found = policy.get("healthyRetryPolicy") if isinstance(policy, Mapping) else None
    return found if isinstance(found, Mapping) else None
