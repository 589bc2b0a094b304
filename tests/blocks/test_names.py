"""Physical names that are known before their resource is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from constructs import Construct

from serverless_patterns.patterns import limits
from serverless_patterns.patterns.blocks.names import name_known_before_creation, pattern_of_name
from tests.contracts.builds import texts

if TYPE_CHECKING:
    from aws_cdk import Stack

UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


def below(scope: Construct, levels: int, last: str) -> Construct:
    """A construct so many levels down."""
    for level in range(levels):
        scope = Construct(scope, f"{'Level' * 5}{level}")
    return Construct(scope, last)


def deployed(value: Any) -> str:
    """A name as it is in a deployed stack."""
    if isinstance(value, dict) and "Fn::Join" in value:
        between, parts = value["Fn::Join"]
        return str(between).join(deployed(part) for part in parts)
    return value if isinstance(value, str) else UUID


@pytest.mark.parametrize("suffix", ["", ".fifo"])
@pytest.mark.parametrize("levels", [0, 8])
def test_a_name_fits_a_queue_however_deep_its_construct_is(
    stack: Stack, levels: int, suffix: str
) -> None:
    queue = below(stack, levels, "Queue")
    name = deployed(stack.resolve(name_known_before_creation(queue, suffix)))
    assert len(name) <= limits.SQS_QUEUE_NAME
    assert name.endswith(f"{UUID}{suffix}"), "it is unique to the stack"


def test_constructs_far_down_have_names_of_their_own_that_a_policy_elsewhere_matches(
    stack: Stack,
) -> None:
    first, second = (below(Construct(stack, name), 8, "Queue") for name in ("First", "Second"))
    patterns = [pattern_of_name(queue, ".fifo") for queue in (first, second)]
    assert patterns[0] != patterns[1]
    start, end = patterns[0].split("-*")
    assert {start, end} <= texts(stack.resolve(name_known_before_creation(first, ".fifo")))
