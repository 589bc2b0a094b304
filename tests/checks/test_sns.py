"""What loses the events of a topic: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import sns
from tests.checks.rules import agree, boundaries, within

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, OTHER = "1" * 12, "2" * 12
NO_QUEUE = "One has the protocol lambda, but a FIFO topic delivers to SQS queues only. Subscribe"


@boundaries(
    lambda: {
        "a FIFO topic delivers to queues only": [
            (sns.fifo_topic_protocol("One", "SQS"), None),
            (sns.fifo_topic_protocol("One", "sqs"), None),
            (sns.fifo_topic_protocol("One", "lambda"), f"{NO_QUEUE} a queue, and let a function"),
        ],
        "only a FIFO topic delivers to a FIFO queue": [
            (sns.topic_of_fifo_queue("Prices", fifo=True), None),
            (sns.topic_of_fifo_queue("Prices", fifo=False), "Prices is a standard topic"),
        ],
        "a subscription is made in the account of its queue": [
            (sns.queue_of_another_account("Kept", ONE, ONE), None),
            (sns.queue_of_another_account("Kept", ONE, OTHER), f"Kept is in account {OTHER}: SNS"),
        ],
        "a filter policy has 5 keys with 150 combinations of values at most": [
            (sns.filter_policy("It", keys, combinations), expected)
            for keys, combinations, expected in (
                (0, 0, None),
                (5, 150, None),
                (6, 150, "It has 6 keys, but SNS accepts 5 at most."),
                (5, 151, "It has 151 combinations of values, but SNS accepts 150 at most."),
                (1, 0, "It has a key without a value"),
            )
        ],
        "a service does not publish for anybody": [
            (sns.publishes_for_anybody("Prices", "S3"), "Prices lets S3 publish for anybody's"),
        ],
        "an alarm publishes to a standard topic": [
            (sns.topic_of_alarm("Told", fifo=False), None),
            (sns.topic_of_alarm("Told", fifo=True), "Told is a FIFO topic, which rejects"),
        ],
        "a dead-letter queue is of its topic's type": [
            (sns.dead_letter_queue_type("Kept", topic_fifo=topic, dead_letter_fifo=queue), expected)
            for topic, queue, expected in (
                (True, True, None),
                (True, False, "Make the dead-letter queue FIFO."),
                (False, True, "Make the dead-letter queue standard."),
                (False, False, None),
            )
        ],
        "an archive keeps messages for 1 to 365 days": within(
            sns.archive, 1, 365, "it must be 1 to 365"
        ),
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
