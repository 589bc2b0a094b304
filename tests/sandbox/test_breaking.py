"""Faults on purpose on a running stack; ``make break PATTERN=all`` makes all of them everywhere."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns.shop import Shop, as_json
from serverless_patterns.sandbox import embedded, queues, tables
from tests.conftest import ROOT
from tests.delivery import breaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from serverless_patterns.sandbox import Deployment
    from tests.delivery.breaking import Running

INVOICES = 20


@pytest.fixture(scope="module")
def deployed(demo_app: Path) -> Iterator[Mapping[str, Deployment]]:
    with embedded(cwd=ROOT) as target:
        yield target.deploy(demo_app, ["api-sqs-lambda", "async-lambda"], cwd=ROOT)


@pytest.fixture(scope="module")
def consumers(deployed: Mapping[str, Deployment]) -> dict[str, Running]:
    found = breaking.running(deployed["api-sqs-lambda"], "api_sqs_lambda")
    return {one.name: one for one in found}


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


def test_an_event_whose_process_is_killed_is_invoiced_once_or_recorded(
    deployed: Mapping[str, Deployment],
) -> None:
    """Invoked asynchronously, so Lambda itself retries; three kills use its attempts up."""
    stack, requests = deployed["async-lambda"], Shop("killed").invoice_requests(INVOICES, lines=2)
    wanted = {request["order_id"] for request in requests}
    invoke, one = stack.client("lambda").invoke, SimpleNamespace(function=stack["FunctionName"])

    def invoiced() -> list[str]:
        rows = tables.rows(stack, stack["TableName"], "begins_with(pk, :text)", "INVOICE#killed")
        return [row["request"]["order_id"] for row in rows]

    def recorded() -> set[str]:
        found = [json.loads(m["Body"]) for m in queues.peek(stack, stack["FailureQueueUrl"])]
        return {record["requestPayload"]["order_id"] for record in found}

    with breaking.killed(one):  # type: ignore[arg-type]
        for request in requests:
            event = {"InvocationType": "Event", "Payload": as_json(request)}
            invoke(FunctionName=one.function, **event)
    queues.until(
        lambda: {*invoiced(), *recorded()} >= wanted, seconds=120, what="for each of the events"
    )
    assert set(Counter(invoiced()).values()) <= {1}
