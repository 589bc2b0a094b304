"""What loses messages of a queue or of its consumer: each rule at its boundary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns import checks
from serverless_patterns.patterns.checks import lambda_, sqs
from tests.checks.rules import agree, boundaries, within

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400
BY_ID, BY_CONTENT = "MessageDeduplicationId", "set ContentBasedDeduplication on the queue"
FIRST = "batch_size is 0; it must be 1 to 10. A standard queue allows more with"


def test_the_first_problem_is_raised() -> None:
    checks.reject(None, None)
    with pytest.raises(ValueError, match="second"):
        checks.reject(None, "second", "third")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (90, "90 s"),
        (599, "599 s"),
        (600, "10 minutes"),
        (5_400, "1 hour 30 minutes"),
        (2 * DAY + 61, "2 days 1 minute 1 s"),
    ],
)
def test_a_period_is_told_as_people_say_it(seconds: float, said: str) -> None:
    assert checks.period(seconds) == said


def test_a_consumer_without_a_batching_window_needs_6_timeouts() -> None:
    assert sqs.needed_visibility(10) == 60


@boundaries(
    lambda: {
        "a dead-letter queue is of its source's type": [
            (sqs.dead_letter_queue_type("Orders", fifo=own, dead_letter_fifo=other), expected)
            for own, other, expected in (
                (True, True, None),
                (False, False, None),
                (True, False, "Orders is a FIFO queue, its dead-letter queue is standard"),
                (False, True, "Make the dead-letter queue standard"),
            )
        ],
        "a dead-letter queue is in its source's account and Region": [
            (sqs.dead_letter_queue_place("Orders", here, "Letters", there), expected)
            for here, there, expected in (
                (("1", "eu"), ("1", "eu"), None),
                (("1", "eu"), ("2", "eu"), "Orders is in account 1, its dead-letter queue Letters"),
                (("1", "eu"), ("2", "us"), "in account 2: a failed message cannot go there. Use a"),
                (("1", "eu"), ("1", "us"), "Letters in Region us: a failed message cannot go"),
                (("1", None), (None, "us"), None),  # only deployment knows
                ((None, "eu"), ("2", None), None),
            )
        ],
        "a consumed queue has a dead-letter queue": [
            (sqs.no_dead_letter_queue("Orders"), "Orders has no dead-letter queue: a message that"),
        ],
        "a queue hides a message for 12 hours at most": within(
            partial(sqs.visibility_range, "own"),
            0,
            43_200,
            "; it must be 0 s to 12 hours",
        ),
        "a queue keeps messages for 60 seconds to 14 days": within(
            partial(sqs.retention, "own"), 60, 14 * DAY, "; it must be 60 s to 14 days"
        ),
        "a standard dead-letter queue keeps messages longer than its source": [
            (sqs.dead_letter_retention("Orders", kept, "Letters", there, fifo=fifo), expected)
            for kept, there, fifo, expected in (
                (13 * DAY, 14 * DAY, False, None),
                (
                    13 * DAY,
                    13 * DAY,
                    False,
                    "Raise its retention period above 13 days, or lower the",
                ),
                (14 * DAY, 14 * DAY, False, "early. Lower the retention period of Orders."),
                (15, 14, False, "expires early"),
                (14 * DAY, 14 * DAY, True, None),
            )
        ],
        "5 to 1,000 receives before dead-lettering": [
            (sqs.receives("Orders", 0), "count of 0;"),
            *within(partial(sqs.receives, "Orders"), 5, 1000, "it must be 5 to 1000"),
        ],
        "a dead-letter queue allows its source": [
            (sqs.redrive_allowed("Orders", "Letters", None), None),
            (
                sqs.redrive_allowed("Orders", "Letters", "denies all"),
                "Orders dead-letters to Letters, whose redrive allow policy denies all",
            ),
        ],
        "a queue keeps a message until its last delayed retry has ended": [
            (sqs.expires_between_retries("Orders", 5, 100, 60, kept), expected)
            for kept, expected in (
                (400, "5 receives of 60 s and the delays between them, 100 s, take 400 s"),
                (401, None),
            )
        ],
        "a queue keeps a message until it is dead-lettered": [
            (sqs.expires_before_dead_lettering("Orders", receives, hidden, kept), expected)
            for receives, hidden, kept, expected in (
                (5, 60, 300, "5 receives of 60 s take 300 s"),
                (5, 60, 301, None),
                (100, 3456, 4 * DAY, "deleted before it is dead-lettered"),
                (100, 3455, 4 * DAY, None),
            )
        ],
        "a message stays hidden for 6 timeouts and the window": [
            (sqs.visibility("Orders", 59, "Store", 10), "hides a message for 59 s, but Store (tim"),
            (sqs.visibility("Orders", 60, "Store", 10), None),
            (sqs.visibility("Orders", 64, "Store", 10, 5), "timeout to 65 s or more"),
            (sqs.visibility("Orders", 65, "Store", 10, 5), None),
            (sqs.visibility("Orders", 19, "A pipe", 10, factor=2), "needs 20 s: 2 x the timeout"),
            (sqs.visibility("Orders", 20, "A pipe", 10, factor=2), None),
        ],
        "an alarm on old messages goes off before they are gone": [
            (sqs.alarm_after_retention("Orders", age, 600), expected)
            for age, expected in (
                (599, None),
                (600, "max_age is 10 minutes, but Orders keeps messages for 10 m"),
            )
        ],
        "a queue delays its messages by 15 minutes at most": within(
            partial(sqs.delay, "delay"), 0, 900, "; it must be 0 s to 15 minutes. For a longer"
        ),
        "a queue keeps a message for longer than it delays it": [
            (sqs.expires_while_delayed("Orders", 899, 900), None),
            (
                sqs.expires_while_delayed("Orders", 900, 660),
                "Orders delays messages by 15 minutes, but keeps them for 11 minutes only: each is",
            ),
            (sqs.expires_while_delayed("Orders", 60, 60), "retention period above 60 s, or lower"),
        ],
        "a message of its own delay is in a standard queue, and due within 15 minutes": [
            (sqs.message_delay("Step", "Kept", seconds, fifo=fifo), expected)
            for seconds, fifo, expected in (
                (0, True, None),
                (1, True, "Step gives messages to the FIFO queue Kept a delay of their own: SQS"),
                (None, True, "SQS rejects DelaySeconds there."),
                (900, False, None),
                (901, False, "Step to Kept: DelaySeconds is 15 minutes 1 s; it must be 0 s to 15"),
                (901, None, "Step to Kept: DelaySeconds is 15 minutes 1 s"),
                (None, None, None),  # only deployment knows
            )
        ],
        "a message that fails stays hidden for 12 hours at most since it was received": [
            (sqs.backoff_beyond_visibility("longest", 43_100, 100), None),
            (
                sqs.backoff_beyond_visibility("longest", 43_101, 100),
                "longest is 11 hours 58 minutes 21 s, but a message may have been hidden for 100 s",
            ),
            (
                sqs.backoff_beyond_visibility("longest", 43_200, 3_600),
                "hides it for 12 hours at most since it was received. Lower it to 11 hours or less",
            ),
        ],
        "a FIFO queue with growing delays hands over one message at a time": [
            (sqs.uses_up_receives("Orders", 1, fifo=True), None),
            (sqs.uses_up_receives("Orders", 10, fifo=False), None),
            (
                sqs.uses_up_receives("Orders", 2, fifo=True),
                "Orders is a FIFO queue with batch_size=2: messages behind one that fails",
            ),
        ],
        "a request is delivered while its requester waits": [
            (sqs.asked_in_vain("Asked", 59, 60), None),
            (
                sqs.asked_in_vain("Asked", 61, 60),
                "Asked delays a request by 61 s, but its requester waits for 60 s: none is",
            ),
            (sqs.asked_in_vain("Asked", 60, 60), "or raise the timeout above 60 s."),
        ],
        "a request is delivered again while its requester waits": [
            (sqs.retried_too_late("Asked", *given), expected)
            for given, expected in (
                ((59, 60), None),
                ((60, 60), "Asked hides a request for 60 s, but its requester waits for 60 s:"),
                ((30, 60, 29), None),
                ((30, 60, 30), "for 30 s (with 30 s of delay, 60 s), but its requester waits for"),
                ((30, 60, 0, 29), None),
                ((30, 60, 0, 30), "for 30 s (with 30 s of batching window, 60 s), but its"),
                (
                    (30, 60, 20, 11),
                    "(with 20 s of delay and 11 s of batching window, 61 s), but its requester",
                ),
                ((30, 60, 20, 11), "the timeout of the requester above 61 s, or lower"),
            )
        ],
        "a request is kept for as long as its requester waits": [
            (sqs.expires_while_awaited("Asked", 60, 60), None),
            (
                sqs.expires_while_awaited("Asked", 60, 61),
                "Asked keeps a request for 60 s, but its requester waits for 61 s: in a backlog",
            ),
            (sqs.expires_while_awaited("Asked", 60, 61), "the retention period to 61 s or more"),
        ],
        "a warning of dead letters comes after they are there": [
            (sqs.warning_before_expiry("Orders", DAY, DAY - 1), None),
            (
                sqs.warning_before_expiry("Orders", DAY, 2 * DAY),
                "warning is 2 days, but a dead letter of Orders may be deleted 1 day after it was",
            ),
            (sqs.warning_before_expiry("Orders", DAY, DAY), "it would warn of each at once"),
        ],
        "an alarm on old dead letters goes off before they are gone": [
            (sqs.alarm_after_dead_letters("Orders", DAY - 1, DAY), None),
            (
                sqs.alarm_after_dead_letters("Orders", 2 * DAY, DAY),
                "warning has the alarm go off 2 days after a message was dead-lettered, but a dead",
            ),
            (
                sqs.alarm_after_dead_letters("Orders", DAY, DAY, "The threshold of Old"),
                "The threshold of Old has the alarm go off 1 day after",
            ),
            (
                sqs.alarm_after_dead_letters("Orders", 2 * DAY, DAY),
                "letter of Orders may be deleted after 1 day, as its retention",
            ),
        ],
        "a message to a FIFO queue has a group and a deduplication id": [
            (
                sqs.fifo_message(
                    "Step", "Kept", group=group, deduplication=own, by_content=content
                ),
                lacks and f"Step sends to the FIFO queue Kept without {lacks}: SQS",
            )
            for group, own, content, lacks in (
                (True, True, False, None),
                (True, False, True, None),
                (True, False, None, None),  # not known
                (False, True, True, "MessageGroupId"),
                (True, False, False, "MessageDeduplicationId"),
                (False, False, False, "MessageGroupId and MessageDeduplicationId"),
            )
        ],
        "what a message to a FIFO queue lacks is given where it can be": [
            (
                sqs.fifo_message(
                    "It", "Kept", group=group, deduplication=False, by_content=False, **more
                ),
                f"SQS rejects every message. {fix}.",
            )
            for group, more, fix in (
                (False, {}, f"Give MessageGroupId; give {BY_ID}, or {BY_CONTENT}"),
                (True, {}, f"Give {BY_ID}, or {BY_CONTENT}"),
                (True, {"may_give_id": False}, BY_CONTENT[0].upper() + BY_CONTENT[1:]),
                (True, {"fix": "Name a group"}, "Name a group"),
            )
        ],
        "Lambda accepts the batch": [
            (lambda_.sqs_batch(batch, window, fifo=fifo), expected)
            for batch, window, fifo, expected in (
                (0, None, False, FIRST),
                (10, None, False, None),
                (11, None, False, "it must be 1 to 10"),
                (10_000, 1, False, None),
                (10_001, 1, False, "it must be 1 to 10000"),
                (None, 1, False, None),
                (10, None, True, None),
                (11, None, True, "batch_size is 11; it must be 1 to 10."),
                (5, 1, True, "FIFO queues have no batching window"),
            )
        ],
        "a batching window is 1 to 300 seconds": within(lambda_.window, 1, 300, "1 to 300 s"),
        "a mapping makes 2 to 1,000 concurrent calls": within(
            lambda_.max_concurrency, 2, 1000, "2 to 1000"
        ),
        "pollers are 2 to 200 at least and 10,000 at most": [
            (lambda_.pollers(2, 2), None),
            (lambda_.pollers(1, 2), "is 1 to 2"),
            (lambda_.pollers(200, 10_000), None),
            (lambda_.pollers(201, 10_000), "2 to 200"),
            (lambda_.pollers(2, 10_001), "2 to 10000"),
            (lambda_.pollers(5, 4), "minimum not above the maximum"),
        ],
        "mappings poll no more than their function reserves": [
            (lambda_.polls_above_reserved("Store", polls, reserved, **more), expected)
            for polls, reserved, more, expected in (
                (10, 10, {}, None),
                (3, 2, {}, "Lower the maximum concurrency to 2, or reserve 3."),
                (2, 1, {}, "concurrency below 2, so use another function, or"),
                (5, 10, {"others": 5}, None),
                (6, 10, {"others": 5}, "Store in addition to the 5 of its other mappings, but"),
                (6, 10, {"others": 5}, "Lower the maximum concurrency to 5, or reserve 11."),
                (30, 30, {"pollers": 3}, None),
                (30, 29, {"pollers": 3}, "maximum of pollers to 2, or reserve 30"),
                (20, 19, {"pollers": 2}, "Use a maximum concurrency instead"),
            )
        ],
        "a function that has to run reserves some concurrency": [
            (lambda_.never_runs("Store", reserved, "…", least=2), expected)
            for reserved, expected in ((0, "Store reserves 0 concurrent"), (1, None), (None, None))
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
