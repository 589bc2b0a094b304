"""Amazon SNS topics and their subscriptions."""

from __future__ import annotations

from ..limits import SNS_FILTER_COMBINATIONS, SNS_FILTER_KEYS, SNS_MAX_ARCHIVE
from .sqs import KIND


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
