"""Amazon EventBridge rules: how their events are delivered, and where those end that are not."""

from __future__ import annotations

from ..limits import (
    EVENTS_MAX_AGE,
    EVENTS_MAX_RETRIES,
    EVENTS_MIN_AGE,
    EVENTS_PATTERN_CHARACTERS,
)
from . import period


def dead_letter_queue_standard(target: object, rule: object) -> str:
    """A rule's dead-letter queue is standard.

    Lint E9136. Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    return (
        f"{target}, to which {rule} sends, has a FIFO dead-letter queue, which EventBridge does "
        "not support: undeliverable events are lost. Use a standard queue."
    )


def sends_to_its_own_bus(rule: object, bus: object) -> str:
    """A rule does not send what it matches to the bus from which it took it.

    Lint E9204. Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-patterns-best-practices.html
    """
    return (
        f"{rule} sends events to {bus}, from which it takes them: each would match again, without "
        "end. Send them to another bus, or to a function that publishes another type of event."
    )


def retries(attempts: float | None, age: float | None) -> str | None:
    """EventBridge retries a delivery 185 times, for 60 seconds to 24 hours.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html

    Args:
        attempts: Retries; None when only deployment knows.
        age: How old an event may grow, in seconds; None when only deployment knows.
    """
    if attempts is not None and not 0 <= attempts <= EVENTS_MAX_RETRIES:
        return f"retry_attempts is {attempts:g}; it must be 0 to {EVENTS_MAX_RETRIES}."
    if age is not None and not EVENTS_MIN_AGE <= age <= EVENTS_MAX_AGE:
        return (
            f"max_event_age is {period(age)}; it must be {period(EVENTS_MIN_AGE)} to "
            f"{period(EVENTS_MAX_AGE)}."
        )
    return None


def pattern_length(name: object, characters: int) -> str | None:
    """An event pattern has 2,048 characters at most, unless the account's quota is raised.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    """
    if characters <= EVENTS_PATTERN_CHARACTERS:
        return None
    return (
        f"{name} has {characters:,} characters; EventBridge takes {EVENTS_PATTERN_CHARACTERS:,}. "
        "Compare fewer values, or a prefix that they share."
    )
