"""What loses or delays records on their way to S3: each rule at its boundary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import firehose
from tests.checks.rules import agree, boundaries, within

if TYPE_CHECKING:
    from collections.abc import Callable


@boundaries(
    lambda: {
        "a batch for a transform is 0.2 to 3 MiB": [
            (firehose.transform_batch("It", mebibytes), expected)
            for mebibytes, expected in (
                (0.19, "It is 0.19 MiB; it must be 0.2 to 3 MiB: the function accepts and returns"),
                (209_715 / 1024**2, None),
                (3, None),
                (3.001, "at most 6 MB, with every record in base64"),
            )
        ],
        "a transform ends within 5 minutes": [
            (firehose.transform_timeout("Clean", 300), None),
            (firehose.transform_timeout("Clean", 301), "Clean may run for 301 s, but Firehose wai"),
        ],
        "an object holds 1 to 128 MiB": within(
            partial(firehose.buffer_size, "It"), 1, 128, "MiB; it must be 1 to 128 MiB"
        ),
        "an object holds whole mebibytes": [
            (firehose.buffer_size("It", 1.5), "It is 1.5 MiB, but Firehose accepts whole"),
        ],
        "a buffer fills for 15 minutes at most": within(
            partial(firehose.interval, "It"), 0, 900, "s; it must be 0 to 900 s."
        ),
        "conversion and dynamic partitioning have a large buffer": [
            (
                firehose.large_buffer(
                    "It", mebibytes, seconds, converts=converts, partitions=partitions
                ),
                expected,
            )
            for mebibytes, seconds, converts, partitions, expected in (
                (63, 59, False, False, None),
                (63, 60, True, False, "It converts the format with a buffer of 63 MiB; it must be"),
                (64, 59, True, False, None),
                (63, 60, False, True, "It partitions dynamically with a buffer of 63 MiB"),
                (64, 59, False, True, "It partitions dynamically with a buffer of 59 s; it must"),
                (64, 60, False, True, None),
                (63, 60, True, True, "It converts the format"),
                (None, None, True, True, None),  # only deployment knows
                (None, 59, False, True, "it must be 60 to 900 s. Raise its interval."),
            )
        ],
        "objects of different kinds are in folders side by side": [
            (firehose.folder_within("prefix", "clicks/", "error_prefix", below), expected)
            for below, expected in (
                ("errors/", None),
                ("old/clicks/", None),
                ("clicks/errors/", "error_prefix 'clicks/errors/' is within prefix 'clicks/'"),
                ("clicks/", "whoever reads 'clicks/' would also read"),
            )
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
