"""What loses the events of a topic: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import sns
from tests.checks.rules import agree, boundaries, within

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, OTHER = "1" * 12, "2" * 12
NO_QUEUE = "One has the protocol lambda, but a FIFO topic delivers to SQS queues only. Subscribe"


def protecting(length: int) -> dict[str, list[str]]:
    """A data protection policy of so many characters."""
    return {"Statement": ["x" * (length - len('{"Statement":[""]}'))]}


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
        "an endpoint is public, with TLS and without a secret": [
            (sns.https_endpoint("It", url), expected)
            for url, expected in (
                ("https://partner.example.com/orders?from=shop", None),
                ("HTTPS://partner.example.com:8443", None),
                ("http://partner.example.com/", "It has no TLS: anybody"),
                ("partner.example.com", "It has no TLS: anybody"),
                ("https://[partner", "It is no URL."),
                ("https://shop:secret@partner.example.com/", "It has a user name or a password"),
                ("https://shop@partner.example.com/", "It has a user name or a password"),
                ("https://part_ner.example.com/a_b", "It has the host part_ner.example.com; SNS"),
                ("https://partner.example.com/a_b", None),
                ("https://10.0.0.7/", "It has the host 10.0.0.7, which SNS cannot reach"),
                ("https://[::1]/", "It has the host ::1, which SNS cannot reach"),
                ("https://localhost/", "It has the host localhost, which SNS cannot reach"),
                ("https://shop.localhost/", "It has the host shop.localhost, which"),
                ("https://printer.local/", "It has the host printer.local, which"),
                ("https://orders.internal/", "It has the host orders.internal, which SNS cannot"),
                ("https:///orders", "It has the host of no name"),
                *(
                    (f"https://{host}/", f"It has the host {host.strip('[]')}, which SNS cannot")
                    for host in (
                        "2130706433",
                        "0x7f.1",
                        "127.1",
                        "0177.0.0.1",
                        "10.0.0.7.",
                        "[::ffff:10.0.0.7]",
                        "shop.home.arpa",
                        "orders.internal.",
                    )
                ),
            )
        ],
        "retries to an endpoint fit into an hour": [
            (sns.http_retries("It", retries, delays, phases), expected)
            for retries, delays, phases, expected in (
                (0, (20, 20), (0, 0, 0), None),
                (100, (1, 3600), (99, 0, 1), None),
                (60, (60, 60), (0, 0, 0), None),
                (61, (1, 60), (0, 0, 60), "It takes 1 hour 1 s or more, but SNS retries for 1"),
                (61, (60, 60), (0, 1, 0), "It takes 1 hour 1 minute or more, but SNS"),
                (61, (10, 3000), (0, 0, 0), None),  # of which the last waits for the longest
                (61, (10, 3001), (0, 0, 0), "It takes 1 hour 1 s or more"),
                (2, (1, 3600), (0, 1, 0), None),  # one has the shortest delay
                (101, (1, 1), (0, 0, 0), "It has 101 retries; they must be 0 to 100."),
                (3, (21, 20), (0, 0, 0), "It has delays from 21 s to 20 s; they must be 1 s to 1"),
                (3, (0, 20), (0, 0, 0), "It has delays from 0 s to 20 s"),
                (3, (1, 3601), (0, 0, 0), "It has delays from 1 s to 1 hour 1 s"),
                (5, (1, 1), (1, 2, 3), "It has 5 retries, but 6 in its phases."),
            )
        ],
        "an endpoint gets messages that are signed with SHA256": [
            (sns.signature("It", "2"), None),
            (sns.signature("It", 2), None),
            (sns.signature("It", None), "It signs its messages with SHA1 (signature version 1)"),
            (sns.unsigned("It", raw=False), None),
            (sns.unsigned("It", raw=True), "It asks for raw delivery, which has no signature"),
        ],
        "queues, Firehose and endpoints take raw messages": [
            (sns.raw_delivery("It", "sqs"), None),
            (sns.raw_delivery("It", "lambda"), "It asks for raw delivery, which SNS does not have"),
        ],
        "the JSON of SNS is sent as JSON or text": [
            (sns.content_type("It", "application/json; charset=UTF-8"), None),
            (
                sns.content_type("It", "text/csv"),
                "what is not raw is application/json or text/plain.",
            ),
        ],
        "large messages go to few queues, functions and Firehose": [
            (sns.large_messages("Orders", size, protocol, count), expected)
            for size, protocol, count, expected in (
                (262_144, "https", 101, None),
                (262_145, "sqs", 100, None),
                (262_145, "email", 1, "which SNS does not deliver by email"),
                (262_145, "lambda", 101, "so it can have 100 subscriptions, and not 101."),
            )
        ],
        "a topic has 200 filter policies at most": [
            (sns.many_filters("Orders", 200), None),
            (
                sns.many_filters("Orders", 201),
                "Orders has 201 filter policies, but the quota is 200",
            ),
        ],
        "a largest message is whole KiB, 1 to 1,024 of them": [
            (sns.max_message_size("It", size), expected)
            for size, expected in (
                (1_024, None),
                (1_048_576, None),
                (0, "It is 0 bytes; it must be whole KiB, 1,024 to 1,048,576 bytes."),
                (1_025, "It is 1,025 bytes; it must be"),
                (1_049_600, "It is 1,049,600 bytes; it must be"),
            )
        ],
        "a data protection policy has statements, of which one audits at most": [
            (sns.data_protection_policy("It", policy), expected)
            for policy, expected in (
                ({"Statement": [{"Operation": {"Audit": {}}}, {"Operation": {"Deny": {}}}]}, None),
                ({"Statement": [{}, "text"]}, None),
                ({}, "It has no Statement"),
                ({"Statement": []}, "It has no Statement"),
                ({"Statement": {"Operation": {}}}, "It has no Statement"),
                (
                    {"Statement": [{"Operation": {"Audit": {}}}] * 2},
                    "several statements that audit",
                ),
                (protecting(30_720), None),
                (protecting(30_721), "It has 30,721 characters; SNS accepts 30,720."),
            )
        ],
        "China's Regions send no text messages": [
            (sns.text_messages("It", None), None),
            (sns.text_messages("It", "ca-central-1"), None),
            (
                sns.text_messages("It", "cn-north-1"),
                "It sends text messages from cn-north-1, where",
            ),
        ],
        "an archive takes as much as a record of Firehose": [
            (sns.record_size("Orders", 1_024_000), None),
            (sns.record_size("Orders", 1_024_001), "Orders takes messages of 1,024,001 bytes, but"),
        ],
        "an archive keeps messages for 1 to 365 days": within(
            sns.archive, 1, 365, "it must be 1 to 365"
        ),
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
