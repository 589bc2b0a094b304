"""What is a valid order or change."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.api_sqs_lambda import logic
from serverless_patterns.lambdas.foundation import shop
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import record

from .handlers import change, order
from .test_handlers_orders import LARGEST


def parse(body: Any) -> logic.Order:
    return logic.parse_order(Message.of(record(body)))


def parse_change(body: Any) -> logic.Change:
    return logic.parse_change(Message.of(record(body, "ord-1")))


def reason(document: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        parse(document)
    return refused.value.reason


def with_line(**changes: Any) -> dict[str, Any]:
    return order(lines=[order()["lines"][0] | changes])


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def priced(currency: str, price: Any, total: Any, quantity: int = 1) -> dict[str, Any]:
    line = order()["lines"][0] | {"unit_price": price, "quantity": quantity}
    return order(currency=currency, lines=[line], total=total)


@pytest.mark.parametrize(
    "document",
    [
        order(),
        order(order_id="O" * 64, **LARGEST),
        priced("JPY", "1200", "2400", 2),
        priced("KWD", "0.005", "4.995", 999),
        priced("EUR", "0.00", "0.00"),
    ],
)
def test_a_valid_order_is_taken(document: dict[str, Any]) -> None:
    parsed = parse(document)
    assert (parsed.id, parsed.document) == (document["order_id"], document)


LINES: tuple[Any, ...] = ([], {}, "x", None, [None], [[]], 3)


@pytest.mark.parametrize(
    "document",
    [
        *("1", "[]", "null", order(coupon="x"), with_line(colour="red")),
        *(without(order(), name) for name in order()),
        *(order(lines=[without(order()["lines"][0], name)]) for name in order()["lines"][0]),
        *(order(order_id=value) for value in ("", "a" * 65, "a b", "a\n", "é", "a#b", 7, None)),
        *(order(customer_id=value) for value in ("", "a" * 65, "Ann Lee", ["a"])),
        *(order(lines=value) for value in LINES),
        order(lines=order()["lines"] * 51),
        *(with_line(sku=value) for value in ("", "a" * 65, "ü", 1)),
        *(with_line(name=value) for value in ("", "a" * 129, "a\x00", "a\n", 1)),
        *(with_line(quantity=value) for value in (0, -1, 1000, True, "2", None)),
    ],
)
def test_a_field_that_is_missing_or_outside_its_rule_is_refused(document: Any) -> None:
    assert reason(document) == "field"


@pytest.mark.parametrize("currency", ["", "eur", "XXX", "EURO", 1, None, ["EUR"]])
def test_a_currency_that_the_shop_does_not_take_is_refused(currency: Any) -> None:
    assert reason(order(currency=currency)) == "currency"


EUROS: tuple[Any, ...] = (
    *("1", "1.0", "1.000", "-1.00", "+1.00", "01.00", "1,00", "1e2", "", "NaN", "Infinity"),
    *(" 1.00", "1.00\n", "\u0661.00", "1_0.00", 1, None, "1" * 13 + ".00"),
)


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        *(("EUR", a) for a in EUROS),
        *(("JPY", a) for a in ("1.0", "1.", "0.5", "00")),
        *(("KWD", a) for a in ("1", "1.00", "1.0000")),
    ],
)
def test_an_amount_has_exactly_its_currencys_decimal_places(currency: str, amount: Any) -> None:
    assert reason(priced(currency, amount, amount)) == "amount"


@given(
    currency=st.sampled_from(sorted(shop.CURRENCIES)),
    lines=st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 999)), min_size=1, max_size=20),
)
def test_the_total_is_exact_in_every_currency(currency: str, lines: list[tuple[int, int]]) -> None:
    def amount(units: int) -> str:
        return f"{Decimal(units).scaleb(-shop.CURRENCIES[currency]):f}"

    line = order()["lines"][0]
    document = order(
        currency=currency,
        lines=[line | {"unit_price": amount(price), "quantity": n} for price, n in lines],
        total=amount(sum(price * n for price, n in lines)),
    )
    assert parse(document).document == document
    document["total"] = amount(sum(price * n for price, n in lines) + 1)
    assert reason(document) == "total"


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_whatever_is_sent_is_an_order_or_refused(body: str) -> None:
    for check in (parse, parse_change):
        with pytest.raises(RefusedError):
            check(body)


NOTE = {"order_id": "ord-1", "change_id": "c", "kind": "note"}
CANCEL = {"order_id": "ord-1", "change_id": "c", "kind": "cancel_line"}


@pytest.mark.parametrize(
    "document", [change(), CANCEL | {"sku": "PAD"}, NOTE | {"text": "Bitte klingeln 🔔"}]
)
def test_a_valid_change_is_taken(document: dict[str, Any]) -> None:
    parsed = parse_change(document)
    assert (parsed.order_id, parsed.id) == ("ord-1", document["change_id"])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("[]", "kind"),
        (change(kind="refund"), "kind"),
        (change(kind=["quantity"]), "kind"),
        (change(quantity=0), "field"),
        (change(text="x"), "field"),
        (change(sku="a b"), "field"),
        (change(order_id="a b"), "field"),
        (change(change_id="c" * 65), "field"),
        (NOTE | {"text": "x" * 501}, "field"),
        (NOTE | {"text": "a\n"}, "field"),
        (CANCEL, "field"),
        (change(order_id="ord-2"), "group"),
    ],
)
def test_an_invalid_change_is_refused(document: Any, expected: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_change(document)
    assert refused.value.reason == expected
