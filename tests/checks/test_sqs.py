"""What loses messages of a queue: each rule at its boundary."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.patterns import checks
from serverless_patterns.patterns.checks import lambda_, sqs

DAY = 86_400


def holds(problem: str | None, expected: str | None) -> None:
    """Assert that there is no problem, or one that says what is expected."""
    assert (problem is None) == (expected is None), problem
    assert (expected or "") in (problem or "")


def test_the_first_problem_is_raised() -> None:
    checks.reject(None, None)
    with pytest.raises(ValueError, match="second"):
        checks.reject(None, "second", "third")


@pytest.mark.parametrize(
    ("fifo", "dead_letter_fifo", "problem"),
    [
        (True, True, None),
        (False, False, None),
        (True, False, "Orders is a FIFO queue, its dead-letter queue is standard"),
        (False, True, "Make the dead-letter queue standard"),
    ],
)
def test_a_dead_letter_queue_is_of_its_sources_type(
    fifo: bool, dead_letter_fifo: bool, problem: str | None
) -> None:
    holds(
        sqs.dead_letter_queue_type("Orders", fifo=fifo, dead_letter_fifo=dead_letter_fifo), problem
    )


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [
        (59, "retention_period is 59 s, allowed is 60 s to 1209600 s"),
        (60, None),
        (14 * DAY, None),
        (14 * DAY + 1, "allowed is 60 s to 1209600 s"),
    ],
)
def test_a_queue_keeps_messages_for_60_seconds_to_14_days(
    seconds: int, problem: str | None
) -> None:
    holds(sqs.retention("retention_period", seconds), problem)


@pytest.mark.parametrize(
    ("kept", "there", "fifo", "problem"),
    [
        (13 * DAY, 14 * DAY, False, None),
        (14 * DAY, 14 * DAY, False, "Raise the retention period of Letters above 1209600 s"),
        (15, 14, False, "expires early"),
        (14 * DAY, 14 * DAY, True, None),
    ],
)
def test_a_standard_dead_letter_queue_keeps_messages_longer_than_its_source(
    kept: int, there: int, fifo: bool, problem: str | None
) -> None:
    holds(sqs.dead_letter_retention("Orders", kept, "Letters", there, fifo=fifo), problem)


@pytest.mark.parametrize(
    ("receives", "problem"),
    [(1, "count of 1,"), (4, "allowed is 5 to 1000"), (5, None), (1000, None), (1001, "5 to 1000")],
)
def test_too_few_receives_before_dead_lettering_are_rejected(
    receives: int, problem: str | None
) -> None:
    holds(sqs.receives("Orders", receives), problem)


@pytest.mark.parametrize("reason", [None, "denies all"])
def test_a_dead_letter_queue_allows_its_source(reason: str | None) -> None:
    expected = reason and "Orders dead-letters to Letters, whose redrive allow policy denies all"
    holds(sqs.redrive_allowed("Orders", "Letters", reason), expected)


@pytest.mark.parametrize(
    ("receives", "hidden", "kept", "problem"),
    [
        (5, 60, 300, "5 receives of 60 s take 300 s"),
        (5, 60, 301, None),
        (100, 3456, 4 * DAY, "deleted before it is dead-lettered"),
        (100, 3455, 4 * DAY, None),
    ],
)
def test_a_queue_that_deletes_before_it_dead_letters_is_rejected(
    receives: int, hidden: int, kept: int, problem: str | None
) -> None:
    holds(sqs.expires_before_dead_lettering("Orders", receives, hidden, kept), problem)


@pytest.mark.parametrize(
    ("hidden", "timeout", "window", "problem"),
    [
        (59, 10, 0, "Orders hides a message for 59 s, but Store (timeout 10 s, batching window"),
        (60, 10, 0, None),
        (64, 10, 5, "Raise the visibility timeout to 65 s or more"),
        (65, 10, 5, None),
    ],
)
def test_a_message_stays_hidden_for_6_timeouts_and_the_window(
    hidden: int, timeout: int, window: int, problem: str | None
) -> None:
    holds(sqs.visibility("Orders", hidden, "Store", timeout, window), problem)


@pytest.mark.parametrize(
    ("age", "problem"), [(599, None), (600, "max_age is 600 s, but Orders keeps messages for 600")]
)
def test_an_alarm_on_messages_that_are_gone_by_then_is_rejected(
    age: int, problem: str | None
) -> None:
    holds(sqs.alarm_after_retention("Orders", age, 600), problem)


@pytest.mark.parametrize(
    ("batch", "window", "fifo", "problem"),
    [
        (0, None, False, "batch_size is 0, allowed is 1 to 10. A standard queue takes more with"),
        (10, None, False, None),
        (11, None, False, "allowed is 1 to 10"),
        (10_000, 1, False, None),
        (10_001, 1, False, "allowed is 1 to 10000"),
        (None, 1, False, None),
        (10, None, True, None),
        (11, None, True, "batch_size is 11, allowed is 1 to 10."),
        (5, 1, True, "a FIFO queue takes no batching window"),
    ],
)
def test_a_batch_that_lambda_would_reject_is_rejected(
    batch: int | None, window: int | None, fifo: bool, problem: str | None
) -> None:
    holds(lambda_.sqs_batch(batch, window, fifo=fifo), problem)


@pytest.mark.parametrize(
    ("seconds", "problem"), [(0, "1 to 300 s"), (1, None), (300, None), (301, "1 to 300 s")]
)
def test_a_batching_window_is_1_to_300_seconds(seconds: int, problem: str | None) -> None:
    holds(lambda_.window(seconds), problem)


@pytest.mark.parametrize(
    ("calls", "problem"), [(1, "2 to 1000"), (2, None), (1000, None), (1001, "2 to 1000")]
)
def test_a_mapping_makes_2_to_1000_concurrent_calls(calls: int, problem: str | None) -> None:
    holds(lambda_.max_concurrency(calls), problem)


@pytest.mark.parametrize(
    ("low", "high", "problem"),
    [
        (2, 2, None),
        (1, 2, "is 1 to 2"),
        (200, 10_000, None),
        (201, 10_000, "2 to 200"),
        (2, 10_001, "2 to 10000"),
        (5, 4, "minimum not above the maximum"),
    ],
)
def test_pollers_are_2_to_200_at_least_and_10000_at_most(
    low: int, high: int, problem: str | None
) -> None:
    holds(lambda_.pollers(low, high), problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"polls": 10, "reserved": 10}, None),
        ({"polls": 3, "reserved": 2}, "Lower the maximum concurrency to 2, or reserve 3."),
        ({"polls": 2, "reserved": 1}, "Lambda takes no maximum concurrency below 2"),
        ({"polls": 5, "reserved": 10, "others": 5}, None),
        ({"polls": 6, "reserved": 10, "others": 5}, "beside the 5 of its other mappings"),
        ({"polls": 30, "reserved": 30, "pollers": 3}, None),
        ({"polls": 30, "reserved": 29, "pollers": 3}, "maximum of pollers to 2, or reserve 30"),
        ({"polls": 20, "reserved": 19, "pollers": 2}, "Use a maximum concurrency instead"),
    ],
)
def test_mappings_poll_no_more_than_their_function_reserves(
    settings: dict[str, Any], problem: str | None
) -> None:
    holds(lambda_.polls_above_reserved("Store", **settings), problem)


@pytest.mark.parametrize("reserved", [0, 1, None])
def test_a_function_that_has_to_run_reserves_some_concurrency(reserved: int | None) -> None:
    expected = None if reserved != 0 else "Store reserves 0 concurrent executions"
    holds(lambda_.never_runs("Store", reserved, "nothing happens", least=2), expected)


@pytest.mark.parametrize(
    ("group", "unique", "by_content", "lacks"),
    [
        (True, True, False, None),
        (True, False, True, None),
        (True, False, None, None),  # not known
        (False, True, True, "MessageGroupId"),
        (True, False, False, "MessageDeduplicationId"),
        (False, False, False, "MessageGroupId and MessageDeduplicationId"),
    ],
)
def test_a_message_to_a_fifo_queue_has_a_group_and_a_deduplication_id(
    group: bool, unique: bool, by_content: bool | None, lacks: str | None
) -> None:
    problem = sqs.fifo_message(
        "Step Park", "Parked", group=group, deduplication=unique, by_content=by_content
    )
    holds(problem, lacks and f"Step Park sends to the FIFO queue Parked without {lacks}: SQS")
