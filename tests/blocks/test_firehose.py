"""A buffer or a transform that Firehose rejects, or that loses batches, is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Size, Stack

from serverless_patterns.patterns.blocks.firehose import Buffering, DirectPut, role_of_firehose
from serverless_patterns.patterns.blocks.transforms import Transform, transformed
from tests.inline import function, rejected


@pytest.mark.parametrize(
    ("size", "seconds", "message"),
    [
        (Size.mebibytes(129), 300, "it must be 1 to 128 MiB"),
        (Size.kibibytes(1023), 300, "it must be 1 to 128 MiB"),
        (Size.kibibytes(1536), 300, "whole mebibytes"),
        (Size.mebibytes(5), 901, "it must be 0 to 900 s"),
        (Size.mebibytes(1), 0, None),
        (Size.mebibytes(128), 900, None),
    ],
)
def test_a_buffer_that_firehose_would_reject_is_rejected(
    size: Size, seconds: int, message: str | None
) -> None:
    with rejected(message):
        Buffering(size=size, interval=Duration.seconds(seconds))


@pytest.mark.parametrize(
    ("kibibytes", "seconds", "retries", "message"),
    [
        (204, 60, 3, "it must be 0.2 to 3 MiB"),
        (3 * 1024 + 1, 60, 3, "it must be 0.2 to 3 MiB"),
        (1024, 901, 3, "batch_interval .*it must be 0 to 900 s"),
        (1024, 60, 301, "it must be 0 to 300"),
        (1024, 60, -1, "it must be 0 to 300"),
        (0.2 * 1024, 0, 0, None),
        (3 * 1024, 900, 300, None),
    ],
)
def test_a_batch_that_firehose_rejects_or_that_does_not_fit_a_call_is_rejected(
    stack: Stack, kibibytes: float, seconds: int, retries: int, message: str | None
) -> None:
    with rejected(message):
        Transform(function(stack), Size.kibibytes(kibibytes), Duration.seconds(seconds), retries)


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": Duration.seconds(300)}, None),
        ({"timeout": Duration.seconds(301)}, "may run for 301 s.*at most 300 s"),
        ({"reserved_concurrent_executions": 0}, "reserves 0 concurrent.*error prefix"),
        ({"reserved_concurrent_executions": 1}, None),
    ],
)
def test_a_transform_that_may_not_run_or_that_firehose_does_not_wait_for_is_rejected(
    stack: Stack, settings: dict[str, Any], message: str | None, alias: bool
) -> None:
    own = function(stack, **settings)
    with rejected(message):
        Transform(own.add_alias("live") if alias else own)


def told(stack: Stack, transform: Transform) -> dict[str, Any]:
    """What Firehose is told of the calls of a transform."""
    processing = transformed(transform, role_of_firehose(stack, "Role"), lines=True)
    found = stack.resolve(processing)
    (processor,) = found["processors"]
    return {it["parameterName"]: it["parameterValue"] for it in processor["parameters"]}


def test_a_batch_of_an_alias_may_be_a_part_of_a_mebibyte(stack: Stack) -> None:
    alias = function(stack).add_alias("live")
    found = told(stack, Transform(alias, Size.kibibytes(512), Duration.seconds(0), retries=0))
    assert found["LambdaArn"] == stack.resolve(alias.function_arn)
    assert found["BufferSizeInMBs"] == "0.5"
    assert (found["BufferIntervalInSeconds"], found["NumberOfRetries"]) == ("0", "0")


def test_a_batch_that_only_deployment_knows_reaches_firehose(stack: Stack) -> None:
    names = ("BufferSizeInMBs", "BufferIntervalInSeconds", "NumberOfRetries")
    size, wait, count = (CfnParameter(stack, name, type="Number").value_as_number for name in names)
    batch = Size.mebibytes(size), Duration.seconds(wait), int(count)
    found = told(stack, Transform(function(stack), *batch))
    assert [found[name] for name in names] == [{"Ref": name} for name in names]


def test_a_size_that_only_deployment_knows_is_given_in_mebibytes(stack: Stack) -> None:
    later = CfnParameter(stack, "Later", type="Number").value_as_number
    Buffering(size=Size.mebibytes(later))
    with rejected("size is known at deployment only, so it must be made with Size.mebibytes"):
        Buffering(size=Size.kibibytes(later))
    with rejected("batch_size is known at deployment only"):
        Transform(function(stack), Size.gibibytes(later))


@pytest.mark.parametrize(
    ("make", "settings", "problem"),
    [
        (Buffering, {"size": 5}, "size is 5; it must be of type Size"),
        (Buffering, {"interval": 60}, "interval is 60; .* Duration.seconds"),
        (
            Buffering,
            {"interval": Duration.millis(90_500)},
            "interval is 90500 ms; .* whole seconds",
        ),
        (Transform, {"batch_size": 1}, "batch_size is 1; it must be of type Size"),
        (Transform, {"batch_interval": 60}, "batch_interval is 60; .* Duration"),
        (
            Transform,
            {"batch_interval": Duration.millis(1_500)},
            "batch_interval is 1500 ms; .* whole",
        ),
        (Transform, {"retries": "3"}, "retries is '3'; it must be of type int"),
        (Transform, {"function": "arn:aws:lambda:"}, "function is .* IFunction"),
        (DirectPut, {"encryption_key": "alias/shop"}, "encryption_key is 'alias/shop'; .* IKey"),
    ],
)
def test_settings_of_wrong_types_are_rejected_by_their_names(
    stack: Stack, make: Any, settings: dict[str, Any], problem: str
) -> None:
    given = {"function": function(stack)} if make is Transform else {}
    with rejected(problem):
        make(**given | settings)
