"""Charge and refund: once each, in any order, and never a cent off."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import tables
from serverless_patterns.lambdas.step_functions_saga import charge, logic, refund
from tests.delivery.sources import Tasks
from tests.delivery.trouble import Trouble
from tests.moto_cloud import Context, cancelled

from .handlers import ACCOUNTS, Cloud

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONTEXT: LambdaContext = Context()  # type: ignore[assignment]
NUMBERS = itertools.count()  # an order for each example: they share the tables
PAYMENT = {"order_id": "order-1", "customer_id": "anna", "amount": 300}


def charged(**changes: Any) -> str:
    return charge.handler(PAYMENT | changes, CONTEXT)["outcome"]


def refunded(**changes: Any) -> str:
    return refund.handler(PAYMENT | changes, CONTEXT)["outcome"]


def balance(cloud: Cloud, customer: str) -> int:
    row = cloud.row(ACCOUNTS, f"CUSTOMER#{customer}")
    assert row
    return int(row["balance"])


@pytest.fixture(autouse=True)
def _customer(cloud: Cloud) -> None:
    cloud.put(ACCOUNTS, id="CUSTOMER#anna", balance=1000)


def test_a_charge_takes_the_amount_once_and_a_refund_gives_it_back_once(cloud: Cloud) -> None:
    assert [charged(), charged()] == ["charged", "charged"]
    assert balance(cloud, "anna") == 700
    assert [refunded(), refunded()] == ["refunded", "refunded"]
    assert balance(cloud, "anna") == 1000


def test_a_declined_card_is_an_outcome_and_no_error(cloud: Cloud) -> None:
    assert charged(amount=1001) == "declined"
    assert charged(customer_id="nobody") == "declined"
    assert balance(cloud, "anna") == 1000
    assert cloud.row(ACCOUNTS, "PAYMENT#order-1") is None


@pytest.mark.parametrize("amount", [1000, 0])
def test_the_last_cent_can_be_spent_and_nothing_can_be_charged(cloud: Cloud, amount: int) -> None:
    assert charged(amount=amount) == "charged"
    assert balance(cloud, "anna") == 1000 - amount


def test_a_charge_that_comes_after_its_refund_takes_nothing(cloud: Cloud) -> None:
    assert refunded() == "refunded"
    assert charged() == "cancelled"
    assert balance(cloud, "anna") == 1000


def test_a_refund_of_another_amount_fails_and_changes_nothing(cloud: Cloud) -> None:
    charged()
    with pytest.raises(tables.client().exceptions.TransactionCanceledException):
        refunded(amount=299)
    assert balance(cloud, "anna") == 700


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_whatever_ends_repeats_or_delays_a_step_the_money_adds_up(cloud: Cloud, dice: Any) -> None:
    cloud.put(ACCOUNTS, id="CUSTOMER#anna", balance=1000)
    amounts = {f"order-{next(NUMBERS)}": dice.choice((0, 300, 600, 1000)) for _ in range(3)}
    tasks, steps = Tasks(Trouble(dice, dice.randrange(8))), dict.fromkeys(amounts, charged)
    cloud.faults.clear()
    tasks.trouble.at_calls(cloud, tasks.run_late)
    while steps or tasks.late:
        tasks.run_late() if not steps or dice.random() < 0.3 else None
        for order in dice.sample([*steps], len(steps) and 1):
            step = partial(steps.pop(order), order_id=order, amount=amounts[order])
            answer = tasks.run(step)
            if answer != "refunded" and (answer != "charged" or dice.random() < 0.3):
                steps[order] = refunded  # as the saga does, also when it was declined
    states = {it: (cloud.row(ACCOUNTS, f"PAYMENT#{it}") or {})["state"] for it in amounts}
    paid = sum(amounts[order] for order, state in states.items() if state == "charged")
    assert balance(cloud, "anna") == 1000 - paid >= 0


def test_what_is_neither_made_nor_refused_is_a_failure() -> None:
    with pytest.raises(ValueError, match="neither"):
        logic.charge_outcome(None, covered=True)


@pytest.mark.parametrize("step", [charged, refunded])
def test_another_transaction_in_the_way_is_a_failure_to_retry(cloud: Cloud, step: Any) -> None:
    cloud.fail("TransactWriteItems", cancelled("None", "TransactionConflict"))
    with pytest.raises(tables.client().exceptions.TransactionCanceledException):
        step()


def test_a_hundred_charges_cost_a_hundred_calls(cloud: Cloud) -> None:
    cloud.fakes["dynamodb"] = lambda *_: (200, {})  # moto copies all it has for each
    for number in range(100):
        charged(order_id=f"order-{number}", amount=1)
    # One at a time by nature: an order waits for its own answer. Written singly, the payment and
    # the account would be 200 calls, and a failure between two would leave money nowhere.
    assert cloud.calls == {"TransactWriteItems": 100}


def test_no_customer_and_no_amount_is_logged(cloud: Cloud) -> None:
    charged(amount=123)
    refunded(amount=123)
    assert [line["outcome"] for line in cloud.log_lines()] == ["charged", "refunded"]
    for line in cloud.log_lines():
        assert "anna" not in str(line)
        assert line.get("amount") is None
