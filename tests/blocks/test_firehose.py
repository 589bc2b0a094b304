"""A buffer or a transform that Firehose rejects, or that loses batches, is rejected."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from aws_cdk import App, Duration, Size, Stack

from serverless_patterns.patterns.blocks.firehose import Buffering
from serverless_patterns.patterns.blocks.transforms import Transform
from tests.inline import function


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def rejected(message: str | None) -> Any:
    return pytest.raises(ValueError, match=message) if message else nullcontext()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": Size.mebibytes(129)}, "allowed is 1 to 128 MiB"),
        ({"size": Size.kibibytes(1023)}, "allowed is 1 to 128 MiB"),
        ({"size": Size.kibibytes(1536)}, "whole mebibytes"),
        ({"interval": Duration.seconds(901)}, "allowed is 0 to 900 s"),
        ({"size": Size.mebibytes(1), "interval": Duration.seconds(0)}, None),
        ({"size": Size.mebibytes(128), "interval": Duration.seconds(900)}, None),
    ],
)
def test_a_buffer_that_firehose_would_reject_is_rejected(
    settings: dict[str, Any], message: str | None
) -> None:
    with rejected(message):
        Buffering(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_interval": Duration.seconds(901)}, "batch_interval .*allowed is 0 to 900 s"),
        ({"retries": 301}, "allowed is 0 to 300"),
        ({"retries": -1}, "allowed is 0 to 300"),
        ({"batch_interval": Duration.seconds(900), "retries": 300}, None),
    ],
)
def test_a_call_that_firehose_would_reject_is_rejected(
    stack: Stack, settings: dict[str, Any], message: str | None
) -> None:
    with rejected(message):
        Transform(function(stack), **settings)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size.kibibytes(204), "allowed is 0.2 to 3 MiB"),
        (Size.mebibytes(0.2), None),
        (Size.kibibytes(205), None),
        (Size.mebibytes(3), None),
        (Size.kibibytes(3 * 1024 + 1), "allowed is 0.2 to 3 MiB"),
        (Size.mebibytes(10), "allowed is 0.2 to 3 MiB"),
    ],
)
def test_a_batch_that_does_not_fit_a_call_is_rejected(
    stack: Stack, size: Size, message: str | None
) -> None:
    with rejected(message):
        Transform(function(stack), size)


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize(
    ("seconds", "message"),
    [(300, None), (301, "may run for 301 s.*at most 300 s"), (900, "may run for 900 s")],
)
def test_a_transform_that_firehose_does_not_wait_for_is_rejected(
    stack: Stack, seconds: int, message: str | None, alias: bool
) -> None:
    own = function(stack, timeout=Duration.seconds(seconds))
    with rejected(message):
        Transform(own.add_alias("live") if alias else own)


@pytest.mark.parametrize(
    ("reserved", "message"), [(0, "transform reserves 0 concurrent.*error prefix"), (1, None)]
)
def test_a_transform_that_may_not_run_is_rejected(
    stack: Stack, reserved: int, message: str | None
) -> None:
    with rejected(message):
        Transform(function(stack, reserved_concurrent_executions=reserved).add_alias("live"))
