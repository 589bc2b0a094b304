"""What loses events of a function that reads a stream or is invoked asynchronously."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns.checks import lambda_
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

WITH_WINDOW = " A standard queue allows more with max_batching_window."
ANYBODY = "Store lets S3 invoke the function for anybody's resources."


@pytest.mark.parametrize(
    ("batch", "window", "fifo", "said"),
    [
        (1, None, False, None),
        (11, None, True, "batch_size is 11; it must be 1 to 10."),
        (10_001, 1, False, "batch_size is 10001; it must be 1 to 10000."),
        (11, None, False, f"batch_size is 11; it must be 1 to 10.{WITH_WINDOW}"),
    ],
)
def test_a_window_is_recommended_for_a_larger_batch_where_one_helps(
    batch: float, window: float | None, fifo: bool, said: str | None
) -> None:
    assert lambda_.sqs_batch(batch, window, fifo=fifo) == said


@boundaries(
    lambda: {
        "a reader gives a record up while the stream still has it": [
            (lambda_.record_age("Read", age, "Clicks", 86_400), expected)
            for age, expected in (
                (86_399, None),
                (86_400, "Read gives a record up after 1 day, but Clicks keeps it for 1 day"),
            )
        ],
        "a reader starts at the oldest record or at a time": [
            (lambda_.starts_at_the_latest("Read"), "Read starts at LATEST: records that arrive"),
        ],
        "Lambda sends records to standard queues and topics": [
            (lambda_.standard_destination("Kept"), "Kept is a FIFO queue or topic, but Lambda"),
            (lambda_.standard_destination("Kept", "queue"), "Use a standard queue."),
        ],
        "a service does not invoke for anybody": [
            (lambda_.invoked_for_anybody("Store", "S3"), ANYBODY),
        ],
        "an alias has one configuration of asynchronous invocation": [
            (lambda_.two_configurations("Store", "One", "Two"), "invocation, One and Two, but"),
        ],
        "calls above the reserved ones are counted by mapping or by poller": [
            (
                lambda_.polls_above_reserved("Store", 3, 2),
                "A mapping makes up to 3 concurrent calls",
            ),
            (lambda_.polls_above_reserved("Store", 3, 2), "calls of Store, but it reserves only 2"),
            (lambda_.polls_above_reserved("Store", 30, 2, pollers=3), "3 pollers make 30 concurr"),
        ],
        "a window is a shard's, so its batches run one after another": [
            (lambda_.parallel_windows(2), "with a parallelization_factor of 2, but the state of"),
        ],
        "a function reads a source by one mapping": [
            (lambda_.one_mapping("Map", "Store", "Orders"), "Map is a second mapping of Orders to"),
            (lambda_.one_mapping("Map", "Store", "Orders"), "to Store, and Lambda rejects it"),
        ],
        "a function that never runs says what to reserve": [
            (lambda_.never_runs("Store", 0, "none is kept"), "it: none is kept. Reserve 1 or more"),
            (lambda_.never_runs("Store", 0, "none is kept", least=2), "Reserve 2 or more"),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
