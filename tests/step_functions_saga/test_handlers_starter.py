"""The starter: an execution for each order, once. The rest is in ``tests/lambdas/``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.step_functions_saga import executions, logic, starter, store
from serverless_patterns.patterns.blocks.executions import CLIENT_FAULTS
from tests.moto_cloud import UNREACHABLE, client_error, ids, record

from .handlers import Cloud, order

if TYPE_CHECKING:
    from tests.stacks import Stacks


def start(cloud: Cloud, *bodies: Any) -> list[str]:
    return cloud.run(starter.handler, *map(record, bodies))


def test_the_starter_refuses_what_the_api_answers_as_a_clients_fault() -> None:
    assert starter.PERMANENT == CLIENT_FAULTS


def test_each_order_starts_an_execution_named_by_its_id(cloud: Cloud) -> None:
    orders = [order(1), order(2, order_id="x" * 80)]
    assert start(cloud, *orders) == []
    inputs = {name: json.loads(body) for name, body in cloud.inputs.items()}
    assert inputs == {"order-1": orders[0], "x" * 80: orders[1]}


def test_the_same_order_again_starts_nothing_and_is_done(cloud: Cloud) -> None:
    start(cloud, order())
    assert start(cloud, json.dumps(order(), indent=4)) == []
    assert len(cloud.inputs) == 1
    assert cloud.letters() == []


def test_another_order_under_a_known_id_is_kept_with_its_reason(cloud: Cloud) -> None:
    start(cloud, order())
    assert start(cloud, order(total=6)) == []
    assert cloud.reasons() == {"conflict": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "not_json"),
        ('"text"', "not_json"),
        ("[" * 100_000, "not_json"),
        ("{}", "order_id"),
        *((order(order_id=name), "order_id") for name in (5, "a b", "x" * 81)),
        (order(note="x" * logic.MAX_INPUT_BYTES), "size"),
    ],
)
def test_what_no_retry_fixes_is_kept_with_its_reason(cloud: Cloud, body: Any, reason: str) -> None:
    assert start(cloud, body, order()) == []
    assert cloud.reasons() == {reason: 1}
    assert list(cloud.inputs) == ["order-1"]


@pytest.mark.parametrize("code", starter.PERMANENT)
def test_what_step_functions_does_not_take_is_kept_with_its_reason(cloud: Cloud, code: str) -> None:
    cloud.fail("StartExecution", client_error(code))
    assert start(cloud, order()) == []
    assert cloud.reasons() == {code: 1}


def test_an_unreachable_step_functions_is_not_asked_for_every_record(cloud: Cloud) -> None:
    sent = [record(order(number)) for number in range(10)]
    cloud.fail("StartExecution", UNREACHABLE)
    assert cloud.run(starter.handler, *sent) == ids(*sent)
    assert cloud.calls == {"StartExecution": 1}


def test_a_thousand_orders_cost_a_thousand_calls(cloud: Cloud) -> None:
    for first in range(0, 1000, 10):
        start(cloud, *(order(number) for number in range(first, first + 10)))
    # Step Functions starts one execution a call. Without names, recognizing duplicates would cost
    # a look before each start: 2,000 calls.
    assert cloud.calls == {"StartExecution": 1000}


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", ["Charge", "Refund", "Carrier", "StartOrders"])
def test_a_function_can_still_report_that_a_call_took_too_long(stacks: Stacks, name: str) -> None:
    client = store.client() if name in ("Charge", "Refund") else executions.client()
    config = client.meta.config
    attempts = config.retries["total_max_attempts"]
    waits = sum(2**attempt for attempt in range(attempts - 1))
    functions = stacks.template("step_functions_saga")["Resources"].items()
    found = [r["Properties"].get("Timeout") for id_, r in functions if id_.startswith(name)]
    timeout = max(filter(None, found))
    assert attempts * (config.connect_timeout + config.read_timeout) + waits < timeout
