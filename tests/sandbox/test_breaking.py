"""Faults on purpose on a running stack; ``make break PATTERN=all`` makes all of them everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import embedded
from tests.conftest import ROOT
from tests.delivery import breaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.delivery.breaking import Running


@pytest.fixture(scope="module")
def consumers() -> Iterator[dict[str, Running]]:
    with embedded(cwd=ROOT) as target:
        stack = target.deploy(stacks=["api-sqs-lambda"], cwd=ROOT)["api-sqs-lambda"]
        yield {one.name: one for one in breaking.running(stack, "api_sqs_lambda")}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("order_changes", breaking.killed),
        ("order_changes", breaking.broken_version),
        ("order_changes", breaking.store_throttles),
        ("orders", breaking.throttled),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_after_a_fault_every_event_took_effect_once_and_every_setting_is_as_before(
    name: str,
    fault: Callable[[Running], AbstractContextManager[None]],
    consumers: dict[str, Running],
) -> None:
    found = breaking.break_it(consumers[f"api_sqs_lambda.{name}"], fault)
    assert found.wrong == []
    assert found.events == breaking.EVENTS
