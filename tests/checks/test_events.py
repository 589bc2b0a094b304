"""What loses the events of a rule: each rule about it at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import events
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable


@boundaries(
    lambda: {
        "EventBridge retries 185 times at most": [
            (events.retries(number, None), expected)
            for number, expected in (
                (None, None),
                (0, None),
                (185, None),
                (-1, "retry_attempts is -1; it must be 0 to 185."),
                (186, "retry_attempts is 186; it must be 0 to 185."),
            )
        ],
        "and for 60 seconds to 24 hours": [
            (events.retries(185, age), expected)
            for age, expected in (
                (60, None),
                (86_400, None),
                (59, "max_event_age is 59 s; it must be 60 s to 1 day."),
                (86_401, "max_event_age is 1 day 1 s; it must be"),
            )
        ],
        "a pattern has 2,048 characters at most": [
            (events.pattern_length("It", 2_048), None),
            (
                events.pattern_length("It", 2_049),
                "It has 2,049 characters; EventBridge takes 2,048.",
            ),
        ],
        "a dead-letter queue is standard": [
            (
                events.dead_letter_queue_standard("Queue", "Rule"),
                "Queue, to which Rule sends, has a FIFO dead-letter queue",
            ),
        ],
        "a rule does not feed itself": [
            (
                events.sends_to_its_own_bus("Rule", "Bus"),
                "Rule sends events to Bus, from which it takes them: each would match again",
            ),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
