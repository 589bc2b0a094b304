"""The starter: an execution for each order, once however often its message comes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from serverless_patterns.lambdas.step_functions_saga import logic, starter
from tests.moto_cloud import Context
from tests.step_functions_saga.conftest import Aws, failed, records

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONTEXT: LambdaContext = Context()  # type: ignore[assignment]


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"order_id": f"order-{number}", "total": 5} | changes


def start(*bodies: Any) -> list[str]:
    return failed(starter.handler(records(*bodies), CONTEXT))


def test_each_order_starts_an_execution_named_by_its_id(aws: Aws) -> None:
    assert start(order(1), order(2)) == []
    assert {name: json.loads(body) for name, body in aws.step_functions.inputs.items()} == {
        "order-1": order(1),
        "order-2": order(2),
    }


def test_the_same_order_again_starts_nothing_and_is_done(aws: Aws) -> None:
    start(order())
    assert start(json.dumps(order(), indent=4)) == []
    assert len(aws.step_functions.inputs) == 1
    assert aws.dead_letters() == []


def test_another_order_under_a_known_id_is_kept_with_its_reason(aws: Aws) -> None:
    start(order())
    assert start(order(total=6)) == []
    assert aws.dead_letters() == [(json.dumps(order(total=6)), "conflict")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "not_json"),
        ('"text"', "not_json"),
        ("[" * 100_000, "not_json"),
        ("{}", "order_id"),
        ('{"order_id": 5}', "order_id"),
        ('{"order_id": "a b"}', "order_id"),
        (json.dumps({"order_id": "x" * 81}), "order_id"),
        (json.dumps({"order_id": "a", "note": "x" * logic.MAX_INPUT_BYTES}), "size"),
    ],
)
def test_what_no_retry_can_mend_is_kept_with_its_reason(aws: Aws, body: str, reason: str) -> None:
    assert start(body, order()) == []
    assert [found for _, found in aws.dead_letters()] == [reason]
    assert list(aws.step_functions.inputs) == ["order-1"]


def test_the_longest_name_is_taken(aws: Aws) -> None:
    start(order(order_id="x" * 80))
    assert list(aws.step_functions.inputs) == ["x" * 80]


def test_what_step_functions_does_not_take_is_kept_with_its_reason(aws: Aws) -> None:
    aws.step_functions.error = "InvalidExecutionInput"
    assert start(order()) == []
    assert [reason for _, reason in aws.dead_letters()] == ["InvalidExecutionInput"]


def test_only_the_failed_record_is_reported(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    take = aws.step_functions.start_execution

    def throttled(**call: Any) -> None:
        aws.step_functions.error = "ThrottlingException" if call["name"] == "order-2" else ""
        take(**call)

    monkeypatch.setattr(aws.step_functions, "start_execution", throttled)
    assert start(order(1), order(2), order(3)) == ["message-1"]
    assert list(aws.step_functions.inputs) == ["order-1", "order-3"]


@pytest.mark.usefixtures("aws")
def test_an_outage_shows_in_the_errors_metric(aws: Aws) -> None:
    aws.step_functions.error = "ServiceUnavailable"
    with pytest.raises(BatchProcessingError):
        start(order(1), order(2))


def test_a_refusal_that_cannot_be_kept_is_delivered_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "refuse", lambda refused: {r["messageId"] for r, _ in refused})
    assert start(order(), "no JSON") == ["message-1"]
    assert aws.dead_letters() == []


def test_a_thousand_orders_cost_a_thousand_calls(aws: Aws) -> None:
    for first in range(0, 1000, 10):
        start(*(order(number) for number in range(first, first + 10)))
    # Step Functions starts one execution a call. Without names, knowing duplicates would cost a
    # look before each start: 2,000 calls.
    assert aws.step_functions.calls == {"StartExecution": 1000}
    assert aws.calls == {}


def test_a_hundred_refusals_cost_ten_calls(aws: Aws) -> None:
    for _ in range(10):
        start(*["no JSON"] * 10)
    assert aws.calls == {"SendMessageBatch": 10}
