"""Amazon SNS topics and their subscriptions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib import parse

from ..limits import (
    FIREHOSE_RECORD_BYTES,
    SNS_DATA_PROTECTION_LENGTH,
    SNS_FILTER_COMBINATIONS,
    SNS_FILTER_KEYS,
    SNS_FILTERS,
    SNS_HTTP_DEFAULT_DELAY,
    SNS_HTTP_DEFAULT_RETRIES,
    SNS_HTTP_RETRIES,
    SNS_HTTP_RETRY_TIME,
    SNS_LARGE_SUBSCRIPTIONS,
    SNS_MAX_ARCHIVE,
    SNS_MAX_MESSAGE_BYTES,
    SNS_MESSAGE_BYTES,
    SNS_MIN_MESSAGE_BYTES,
)
from . import period
from .sqs import KIND

RAW = ("sqs", "firehose", "https", "http")
TAKE_LARGE = ("sqs", "lambda", "firehose")
# What a retry policy has that says nothing else: seconds, seconds, retries.
DEFAULT_RETRIES = {
    "minDelayTarget": SNS_HTTP_DEFAULT_DELAY,
    "maxDelayTarget": SNS_HTTP_DEFAULT_DELAY,
    "numRetries": SNS_HTTP_DEFAULT_RETRIES,
}
# What SNS sends as the content type of its own JSON.
CONTENT_TYPES = ("application/json", "text/plain")


def fifo_topic_protocol(
    subscription: object,
    protocol: str,
    instead: str = "let a function, an endpoint or a stream be the consumer of that queue",
) -> str | None:
    """A FIFO topic delivers to SQS queues only.

    Lint E9133. Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html

    Args:
        subscription: The subscription, for the message.
        protocol: Its protocol.
        instead: What to do after subscribing a queue.
    """
    protocol = protocol.lower()
    if protocol == "sqs":
        return None
    return (
        f"{subscription} has the protocol {protocol}, but a FIFO topic delivers to SQS queues "
        f"only. Subscribe a queue, and {instead}."
    )


def topic_of_fifo_queue(topic: object, *, fifo: bool) -> str | None:
    """A topic that delivers to a FIFO queue is FIFO.

    Lint E9134. Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html
    """
    if fifo:
        return None
    return (
        f"{topic} is a standard topic, which keeps no order and does not deliver to FIFO queues. "
        "Make the topic FIFO, or subscribe standard queues to it."
    )


def dead_letter_queue_type(
    queue: object, *, topic_fifo: bool, dead_letter_fifo: bool
) -> str | None:
    """The dead-letter queue of a topic's subscription is of the topic's type.

    Lint E9135. Source: https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html

    Args:
        queue: The dead-letter queue, for the message.
        topic_fifo: Whether the topic is FIFO.
        dead_letter_fifo: Whether the dead-letter queue is.
    """
    if topic_fifo == dead_letter_fifo:
        return None
    needed = KIND[topic_fifo]
    return (
        f"{queue} is a {KIND[dead_letter_fifo]} queue, but a {needed} topic dead-letters to "
        f"{needed} queues only. Make the dead-letter queue {needed}."
    )


def queue_of_another_account(queue: object, account: str, queue_account: str) -> str | None:
    """A subscription is made in the account of its queue, which otherwise has to confirm it.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-send-message-to-sqs-cross-account.html

    Args:
        queue: The queue, for the message.
        account: The account of the subscription.
        queue_account: The queue's account.
    """
    if account == queue_account:
        return None
    return (
        f"{queue} is in account {queue_account}: SNS delivers nothing before that account confirms "
        f"the subscription, which is made in {account}. Subscribe the queue in a stack of "
        f"{queue_account}, with the topic imported by its ARN."
    )


def filter_policy(name: str, keys: int, combinations: int) -> str | None:
    """A filter policy has few keys, each with a value, and few combinations of them.

    Source: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html

    Args:
        name: The policy, for the message.
        keys: How many keys it has.
        combinations: The numbers of their values, multiplied; below the first level, those of a key
            count as many times as it is deep.
    """
    if keys > SNS_FILTER_KEYS:
        return (
            f"{name} has {keys} keys, but SNS accepts {SNS_FILTER_KEYS} at most. Filter by fewer, "
            "or let the consumer choose."
        )
    if combinations > SNS_FILTER_COMBINATIONS:
        return (
            f"{name} has {combinations} combinations of values, but SNS accepts "
            f"{SNS_FILTER_COMBINATIONS} at most. Filter by fewer values, or by a prefix of them."
        )
    if keys and not combinations:
        return f"{name} has a key without a value, which SNS rejects. Give each key a value."
    return None


def publishes_for_anybody(topic: object, service: str) -> str:
    """A service that may publish to a topic says for whose resources.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return (
        f"{topic} lets {service} publish for anybody's resources. Give the permission a condition "
        "on aws:SourceArn or aws:SourceAccount."
    )


def archive(days: float) -> str | None:
    """A topic archives its messages for 1 to 365 days.

    Source: https://docs.aws.amazon.com/sns/latest/dg/message-archiving-and-replay-topic-owner.html
    """
    if 1 <= days <= SNS_MAX_ARCHIVE:
        return None
    return (
        f"message_retention_period_in_days is {days:g}; it must be 1 to {SNS_MAX_ARCHIVE}. Leave "
        "it out for no archive."
    )


def topic_of_alarm(topic: object, *, fifo: bool) -> str | None:
    """An alarm publishes to a standard topic: it names no message group.

    Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    """
    if not fifo:
        return None
    return (
        f"{topic} is a FIFO topic, which rejects a message without a message group, and CloudWatch "
        "names none: nobody would hear of the alarm. Give a standard topic."
    )


def https_endpoint(name: object, url: str) -> str | None:
    """An endpoint is public, speaks TLS, and its URL keeps no secret.

    Lint W9211. Source: https://docs.aws.amazon.com/sns/latest/dg/sns-security-best-practices.html

    Args:
        name: The endpoint, for the message.
        url: Where SNS posts to.
    """
    try:
        parts = parse.urlsplit(url)
        host, secret = parts.hostname or "", parts.username or parts.password
    except ValueError:
        return f"{name} is no URL. Give one such as https://partner.example.com/orders."
    if parts.scheme.lower() != "https":
        return (
            f"{name} has no TLS: anybody on the way reads and changes the messages. Give an "
            "endpoint that begins with https://."
        )
    if secret:
        return (
            f"{name} has a user name or a password in its URL, which everybody sees who may read "
            "the template. Leave them out: the endpoint verifies the signature of SNS."
        )
    # https://repost.aws/knowledge-center/sns-topic-https-endpoints-notification
    if "_" in host:
        return f"{name} has the host {host}; SNS accepts no underscore there. Give another name."
    if not _is_public(host):
        return (
            f"{name} has the host {host or 'of no name'}, which SNS cannot reach or verify: an "
            "endpoint is public and has a domain name. Give its public name, or subscribe a queue "
            "or a function that calls it."
        )
    return None


def _is_public(host: str) -> bool:
    """Whether a host is a domain name that may be public, and no address.

    A name whose last part begins with a digit is an address in decimal, octal or hexadecimal.
    """
    host = host.rstrip(".")
    private = (".localhost", ".local", ".internal", ".home.arpa")
    return bool(re.search(r"\.[^\d.:][^.:]*$", host)) and not host.endswith(private)


def http_retries(
    name: object, retries: float, delays: tuple[float, float], phases: tuple[float, float, float]
) -> str | None:
    """The retries of a delivery to an endpoint fit into an hour, and each is in one phase.

    Lint E9213. Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html

    Args:
        name: The delivery policy, for the message.
        retries: All of them.
        delays: Shortest and longest, in seconds.
        phases: How many without delay, at the shortest delay, and at the longest.
    """
    shortest, longest = delays
    if not 0 <= retries <= SNS_HTTP_RETRIES:
        return f"{name} has {retries:g} retries; they must be 0 to {SNS_HTTP_RETRIES}."
    if not 1 <= shortest <= longest <= SNS_HTTP_RETRY_TIME:
        return (
            f"{name} has delays from {period(shortest)} to {period(longest)}; they must be 1 s to "
            f"{period(SNS_HTTP_RETRY_TIME)}, the shortest first."
        )
    backoff = retries - sum(phases)
    if backoff < 0:
        return (
            f"{name} has {retries:g} retries, but {sum(phases):g} in its phases. Raise num_retries "
            "to those of all phases, backoff included."
        )
    least = phases[1] * shortest + phases[2] * longest
    least += backoff * shortest + (longest - shortest if backoff > 1 else 0)
    if least > SNS_HTTP_RETRY_TIME:
        return (
            f"{name} takes {period(least)} or more, but SNS retries for "
            f"{period(SNS_HTTP_RETRY_TIME)} at most. Give fewer retries or shorter delays; the "
            "dead-letter queue keeps what they do not deliver."
        )
    return None


def raw_delivery(name: object, protocol: str) -> str | None:
    """Queues, Firehose and HTTPS endpoints take raw messages, and nobody else.

    Source:
    https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html

    Args:
        name: The subscription, for the message.
        protocol: How it is delivered.
    """
    if protocol in RAW:
        return None
    return (
        f"{name} asks for raw delivery, which SNS does not have for the protocol {protocol}: the "
        "message arrives in its JSON. Leave raw_message_delivery out."
    )


def content_type(name: object, given: str) -> str | None:
    """What SNS wraps in its own JSON is sent as JSON or as plain text.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
    """
    if given.partition(";")[0].strip().lower() in CONTENT_TYPES:
        return None
    return (
        f"{name} sends {given}, but what is not raw is {' or '.join(CONTENT_TYPES)}. Give one of "
        "them, or raw_message_delivery=True."
    )


def many_filters(topic: object, count: int) -> str | None:
    """A topic has up to 200 filter policies, unless AWS has raised the quota.

    Source: https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
    """
    if count <= SNS_FILTERS:
        return None
    return (
        f"{topic} has {count} filter policies, but the quota is {SNS_FILTERS}: SNS rejects the "
        "others. Ask AWS for a higher quota, or use a second topic."
    )


def max_message_size(name: object, size: float) -> str | None:
    """A topic's largest message has 1 KiB to 1 MiB.

    Source: https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
    """
    if SNS_MIN_MESSAGE_BYTES <= size <= SNS_MAX_MESSAGE_BYTES and size % 1024 == 0:
        return None
    return (
        f"{name} is {size:,.0f} bytes; it must be whole KiB, {SNS_MIN_MESSAGE_BYTES:,} to "
        f"{SNS_MAX_MESSAGE_BYTES:,} bytes."
    )


def data_protection_policy(name: object, policy: Mapping[str, Any]) -> str | None:
    """A data protection policy has statements, one of them an audit at most.

    Source:
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-data-protection-configure.html
    """
    statements = policy.get("Statement")
    if not isinstance(statements, list) or not statements:
        return f"{name} has no Statement, which SNS rejects. Give it a list of one or more."
    operations = [one.get("Operation", {}) for one in statements if isinstance(one, Mapping)]
    if sum("Audit" in operation for operation in operations) > 1:
        return f"{name} has several statements that audit; SNS accepts one. Join them."
    length = len(json.dumps(policy, separators=(",", ":"), default=str))
    if length > SNS_DATA_PROTECTION_LENGTH:
        return (
            f"{name} has {length:,} characters; SNS accepts {SNS_DATA_PROTECTION_LENGTH:,}. Name "
            "fewer kinds of data."
        )
    return None


def text_messages(name: object, region: str | None) -> str | None:
    """SNS sends no text messages from the Regions of China.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-supported-regions-countries.html

    Args:
        name: Who sends them, for the message.
        region: From where; None if it is not known.
    """
    if region is None or not region.startswith("cn-"):
        return None
    return (
        f"{name} sends text messages from {region}, where SNS has none. Leave phone_numbers out, "
        "or tell people from another Region."
    )


def record_size(topic: object, size: float) -> str | None:
    """A topic that is archived takes no larger messages than Firehose takes records.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/limits.html

    Args:
        topic: The topic, for the message.
        size: Its largest message, in bytes.
    """
    if size <= FIREHOSE_RECORD_BYTES:
        return None
    return (
        f"{topic} takes messages of {size:,.0f} bytes, but Firehose records of "
        f"{FIREHOSE_RECORD_BYTES:,} bytes at most: larger ones would not be archived. Lower the "
        "topic's maximum message size."
    )


def large_messages(topic: object, size: float, protocol: str, subscriptions: int) -> str | None:
    """A topic of large messages has few subscriptions, of queues, functions and Firehose.

    Lint E9212. Source: https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html

    Args:
        topic: The topic, for the message.
        size: Its largest message, in bytes.
        protocol: How one of its subscriptions is delivered.
        subscriptions: How many there are.
    """
    if size <= SNS_MESSAGE_BYTES:
        return None
    said = f"{topic} takes messages of more than {SNS_MESSAGE_BYTES:,} bytes, "
    if protocol not in TAKE_LARGE:
        return (
            f"{said}which SNS does not deliver by {protocol}: it rejects the subscription. Lower "
            "the topic's maximum message size, or subscribe a queue or a function."
        )
    if subscriptions > SNS_LARGE_SUBSCRIPTIONS:
        return (
            f"{said}so it can have {SNS_LARGE_SUBSCRIPTIONS} subscriptions, and not "
            f"{subscriptions}. Lower the topic's maximum message size, or use a second topic."
        )
    return None


def signature(topic: object, version: object) -> str | None:
    """A topic with endpoints signs its messages with SHA256, not with SHA1.

    Lint I9214. Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

    Args:
        topic: The topic, for the message.
        version: Its SignatureVersion; None is SNS's default, 1.
    """
    if str(version) == "2":
        return None
    return (
        f"{topic} signs its messages with SHA1 (signature version {version or 1}), which receivers "
        "should reject. Set its signature_version to 2, which is SHA256."
    )


def unsigned(name: object, *, raw: bool) -> str | None:
    """A raw delivery has no signature, so an endpoint cannot tell who has sent it.

    Lint I9215. Source: https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html

    Args:
        name: The endpoint, for the message.
        raw: Whether it asks for raw delivery.
    """
    if not raw:
        return None
    return (
        f"{name} asks for raw delivery, which has no signature: anybody could send to it. Leave "
        "raw_message_delivery out."
    )
