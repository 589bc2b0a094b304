"""The carrier: ships once, never after a cancellation, and answers whoever waits."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.step_functions_saga import carrier, store
from tests.moto_cloud import Context
from tests.step_functions_saga.conftest import SHIPMENTS, Aws, failed, records

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONTEXT: LambdaContext = Context()  # type: ignore[assignment]
NUMBERS = itertools.count()  # an order for each example: they share the tables


def ship(order: str = "order-1", to: str = "DE", token: str = "") -> dict[str, str]:
    return {
        "action": "ship",
        "order_id": order,
        "ship_to": to,
        "task_token": token or f"token-{order}",
    }


def cancel(order: str = "order-1") -> dict[str, str]:
    return {"action": "cancel", "order_id": order}


def carry(*bodies: Any, receive_count: int = 1) -> list[str]:
    return failed(carrier.handler(records(*bodies, receive_count=receive_count), CONTEXT))


def outcomes(aws: Aws) -> dict[str, str]:
    return {token: output["outcome"] for token, output in aws.step_functions.outputs.items()}


def test_a_shipment_is_noted_and_answered(aws: Aws) -> None:
    assert carry(ship("a"), ship("b")) == []
    assert outcomes(aws) == {"token-a": "shipped", "token-b": "shipped"}
    assert aws.row(SHIPMENTS, "a") == {"id": "a", "state": "shipped"}


def test_the_same_order_is_shipped_once_and_answered_again(aws: Aws) -> None:
    carry(ship(token="first"))
    assert carry(ship(token="second"), ship("other")) == []
    assert outcomes(aws) == {"first": "shipped", "second": "shipped", "token-other": "shipped"}


def test_a_destination_that_is_not_served_is_an_outcome(aws: Aws) -> None:
    assert carry(ship(to="AQ"), ship("b")) == []
    assert outcomes(aws) == {"token-order-1": "undeliverable", "token-b": "shipped"}
    assert aws.row(SHIPMENTS, "order-1") is None


def test_a_shipment_that_comes_after_its_cancellation_is_not_made(aws: Aws) -> None:
    carry(cancel())
    assert carry(ship()) == []
    assert outcomes(aws) == {"token-order-1": "cancelled"}
    assert aws.row(SHIPMENTS, "order-1") == {"id": "order-1", "state": "cancelled"}


@pytest.mark.parametrize("bodies", [(ship(), cancel()), (cancel(), ship())])
def test_a_cancellation_in_the_same_batch_wins(aws: Aws, bodies: tuple[Any, ...]) -> None:
    assert carry(*bodies) == []
    assert outcomes(aws) == {"token-order-1": "cancelled"}


def test_a_slow_parcel_gives_a_sign_of_life_until_it_is_there(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    postponed: list[Any] = []
    monkeypatch.setattr(carrier, "postpone", lambda *call: postponed.append(call))
    assert carry(ship(to="IS")) == ["message-0"]
    assert aws.step_functions.heartbeats == ["token-order-1"]
    assert [(len(found), url, seconds) for found, url, seconds in postponed] == [
        (1, aws.queue_url, carrier.POSTPONED_SECONDS)
    ]
    assert carry(ship(to="IS"), receive_count=2) == []
    assert outcomes(aws) == {"token-order-1": "shipped"}


def test_a_slow_parcel_that_nobody_waits_for_is_done(aws: Aws) -> None:
    aws.step_functions.gone = {"token-order-1"}
    assert carry(ship(to="IS")) == []
    assert aws.row(SHIPMENTS, "order-1") is None


def test_an_answer_that_comes_too_late_is_not_tried_again(aws: Aws) -> None:
    aws.step_functions.gone = {"token-order-1"}
    assert carry(ship()) == []


def test_an_answer_that_could_not_be_sent_is_tried_again(aws: Aws) -> None:
    aws.step_functions.error = "ServiceUnavailable"
    assert carry(ship()) == ["message-0"]
    aws.step_functions.error = ""
    assert carry(ship()) == []
    assert outcomes(aws) == {"token-order-1": "shipped"}


@pytest.mark.parametrize(
    "body", ["no JSON", "{}", '{"action": "ship", "order_id": "a"}', '{"action": "burn"}']
)
def test_what_is_no_instruction_is_kept_with_its_reason(aws: Aws, body: str) -> None:
    assert carry(body, ship()) == []
    ((kept, reason),) = aws.dead_letters()
    assert kept == body
    assert reason in ("not_json", "instruction")


def test_cancellations_that_dynamodb_leaves_over_are_sent_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, sent = store.client(), []
    write = client.batch_write_item

    def take_one(RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        sent.append(len(RequestItems[SHIPMENTS]))
        write(RequestItems={SHIPMENTS: RequestItems[SHIPMENTS][:1]})
        rest = RequestItems[SHIPMENTS][1:]
        return {"UnprocessedItems": {SHIPMENTS: rest} if rest else {}}

    monkeypatch.setattr(client, "batch_write_item", take_one)
    assert carry(cancel("a"), cancel("b"), cancel("c")) == []
    assert sent == [3, 2, 1]
    with pytest.raises(RuntimeError, match="did not take"):
        carry(*(cancel(letter) for letter in "defg"))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(st.sampled_from([ship, cancel]), min_size=1, max_size=5))
def test_in_any_order_a_cancelled_order_is_never_shipped(aws: Aws, actions: list[Any]) -> None:
    order = f"order-{next(NUMBERS)}"
    for action in actions:
        carry(action(order))
    row = aws.row(SHIPMENTS, order)
    assert row
    assert row["state"] == ("cancelled" if cancel in actions else "shipped")


def test_a_thousand_shipments_cost_twenty_writes_and_an_answer_each(aws: Aws) -> None:
    for first in range(0, 1000, 50):
        carry(*(ship(f"order-{number}") for number in range(first, first + 50)))
    # One at a time it would be 1,000 writes. A task token is answered by a call of its own.
    assert aws.calls == {"TransactWriteItems": 20}
    assert aws.step_functions.calls == {"SendTaskSuccess": 1000}


def test_a_thousand_cancellations_cost_forty_writes(aws: Aws) -> None:
    for first in range(0, 1000, 50):
        carry(*(cancel(f"order-{number}") for number in range(first, first + 50)))
    assert aws.calls == {"BatchWriteItem": 40}
