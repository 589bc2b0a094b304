"""The carrier: ships once, never after a cancellation, and answers whoever waits.

What every consumer promises is in ``tests/lambdas/``.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.step_functions_saga import carrier
from tests.moto_cloud import UNREACHABLE, client_error, ids, record

from .handlers import SHIPMENTS, Cloud, cancel, ship

NUMBERS = itertools.count()  # an order for each example: they share the tables


def carry(cloud: Cloud, *bodies: Any, receive_count: int = 1) -> list[int]:
    """Run the handler; return the positions of the messages to deliver again."""
    sent = [record(body, receive_count=receive_count) for body in bodies]
    again = cloud.run(carrier.handler, *sent)
    return [position for position, id_ in enumerate(ids(*sent)) if id_ in again]


def outcomes(cloud: Cloud) -> dict[str, str]:
    return {token: json.loads(output)["outcome"] for token, output in cloud.outputs.items()}


def test_a_shipment_is_noted_and_answered(cloud: Cloud) -> None:
    assert carry(cloud, ship("a"), ship("b")) == []
    assert outcomes(cloud) == {"token-a": "shipped", "token-b": "shipped"}
    assert cloud.row(SHIPMENTS, "a") == {"id": "a", "state": "shipped"}


def test_the_same_order_is_shipped_once_and_answered_again(cloud: Cloud) -> None:
    carry(cloud, ship(token="first"))
    assert carry(cloud, ship(token="second"), ship("other")) == []
    assert outcomes(cloud) == {"first": "shipped", "second": "shipped", "token-other": "shipped"}


def test_a_destination_that_is_not_served_is_an_outcome(cloud: Cloud) -> None:
    assert carry(cloud, ship(to="AQ"), ship("b")) == []
    assert outcomes(cloud) == {"token-order-1": "undeliverable", "token-b": "shipped"}
    assert cloud.row(SHIPMENTS, "order-1") is None


@pytest.mark.parametrize(
    "batches", [[[cancel()], [ship()]], [[ship(), cancel()]], [[cancel(), ship()]]]
)
def test_a_cancellation_before_or_in_the_same_batch_wins(
    cloud: Cloud, batches: list[list[Any]]
) -> None:
    assert [carry(cloud, *bodies) for bodies in batches] == [[]] * len(batches)
    assert outcomes(cloud) == {"token-order-1": "cancelled"}
    assert cloud.row(SHIPMENTS, "order-1") == {"id": "order-1", "state": "cancelled"}


def test_a_slow_parcel_gives_a_sign_of_life_until_it_is_there(cloud: Cloud) -> None:
    cloud.fakes["sqs"] = lambda *_: (200, {"Successful": [], "Failed": []})
    assert carry(cloud, ship(to="IS")) == [0]  # without an error: that is no outage
    assert cloud.heartbeats == ["token-order-1"]
    postponed = json.loads(cloud.requests[-1][1])
    assert postponed["QueueUrl"] == cloud.queue_url
    assert [entry["VisibilityTimeout"] for entry in postponed["Entries"]] == [5]
    assert cloud.outcomes() == {"postponed": 1}
    assert carry(cloud, ship(to="IS"), receive_count=2) == []
    assert outcomes(cloud) == {"token-order-1": "shipped"}


def test_a_slow_parcel_that_cannot_be_postponed_comes_again_later(cloud: Cloud) -> None:
    cloud.fail("ChangeMessageVisibilityBatch", UNREACHABLE)
    assert carry(cloud, ship(to="IS"), ship("b")) == [0]


def test_a_slow_parcel_that_nobody_waits_for_is_done(cloud: Cloud) -> None:
    cloud.gone = {"token-order-1"}
    assert carry(cloud, ship(to="IS")) == []
    assert cloud.row(SHIPMENTS, "order-1") is None


def test_an_answer_that_comes_too_late_is_not_tried_again(cloud: Cloud) -> None:
    cloud.gone = {"token-order-1"}
    assert carry(cloud, ship()) == []
    (line,) = cloud.log_lines("Too late")
    assert (line["order_id"], line["outcome"]) == ("order-1", "shipped")


def test_an_answer_that_could_not_be_sent_is_tried_again(cloud: Cloud) -> None:
    cloud.fail("SendTaskSuccess", client_error("ServiceUnavailable"))
    assert carry(cloud, ship("a"), ship("b")) == [0]
    assert carry(cloud, ship("a")) == []
    assert outcomes(cloud) == {"token-a": "shipped", "token-b": "shipped"}


@pytest.mark.parametrize(
    "body",
    [
        '"ship"',
        "{}",
        '{"action": "ship", "order_id": "a"}',
        '{"action": "cancel", "order_id": ""}',
        '{"action": "ship", "order_id": "a", "ship_to": "DE", "task_token": ""}',
        '{"action": "cancel", "order_id": "\\ud800"}',
        json.dumps({"action": "cancel", "order_id": "a" * 2_049}),
        '{"action": "ship", "order_id": "a", "ship_to": "\\ud800", "task_token": "t"}',
        '{"action": "burn"}',
    ],
)
def test_what_is_no_instruction_is_kept_with_its_reason(cloud: Cloud, body: str) -> None:
    assert carry(cloud, body, ship()) == []
    assert cloud.reasons() == {"not_json" if body == '"ship"' else "instruction": 1}


@pytest.mark.parametrize("count", [3, 4])
def test_cancellations_that_dynamodb_leaves_over_are_sent_again(cloud: Cloud, count: int) -> None:
    sent = []

    def take_one(_: str, call: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        puts = call["RequestItems"][SHIPMENTS]
        sent.append(len(puts))
        return 200, {"UnprocessedItems": {SHIPMENTS: puts[1:]} if puts[1:] else {}}

    cloud.fakes["dynamodb"] = take_one
    assert carry(cloud, *(cancel(name) for name in "abcd"[:count])) == list(range(3, count))
    assert sent == [count, count - 1, count - 2]


def test_an_order_whose_cancellation_failed_is_not_shipped(cloud: Cloud) -> None:
    cloud.fail("BatchWriteItem", UNREACHABLE)
    assert carry(cloud, cancel("a"), ship("a")) == [0, 1]
    assert cloud.items(SHIPMENTS) == []


@settings(max_examples=20)
@given(actions=st.lists(st.sampled_from([ship, cancel]), min_size=1, max_size=5))
def test_in_any_order_a_cancelled_order_is_never_shipped(cloud: Cloud, actions: list[Any]) -> None:
    order = f"order-{next(NUMBERS)}"
    for action in actions:
        carry(cloud, action(order))
    row = cloud.row(SHIPMENTS, order)
    assert row
    assert row["state"] == ("cancelled" if cancel in actions else "shipped")


def test_a_thousand_shipments_cost_twenty_writes_and_an_answer_each(cloud: Cloud) -> None:
    cloud.answer_writes()
    for first in range(0, 1000, 50):
        carry(cloud, *(ship(f"order-{number}") for number in range(first, first + 50)))
    # One at a time it would be 1,000 writes. A task token is answered by a call of its own.
    assert cloud.calls == {"TransactWriteItems": 20, "SendTaskSuccess": 1000}
    assert len(cloud.outputs) == 1000


def test_a_thousand_cancellations_cost_forty_writes(cloud: Cloud) -> None:
    for first in range(0, 1000, 50):
        carry(cloud, *(cancel(f"order-{number}") for number in range(first, first + 50)))
    assert cloud.calls == {"BatchWriteItem": 40}
