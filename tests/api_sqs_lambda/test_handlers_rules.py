from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.api_sqs_lambda import logic
from serverless_patterns.lambdas.api_sqs_lambda.logic import parse_change, parse_order
from serverless_patterns.lambdas.foundation.outcomes import RefusedError

from .orders import change, largest_order, order, text


def reason(body: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        parse_order(body if isinstance(body, str) else text(body))
    return refused.value.reason


def with_line(**changes: Any) -> dict[str, Any]:
    return order(lines=[order()["lines"][0] | changes])


def priced(currency: str, price: str, total: str, quantity: int = 1) -> dict[str, Any]:
    line = order()["lines"][0] | {"unit_price": price, "quantity": quantity}
    return order(currency=currency, lines=[line], total=total)


@pytest.mark.parametrize(
    "document",
    [
        order(),
        largest_order(),
        priced("JPY", "1200", "2400", 2),
        priced("KWD", "0.005", "4.995", 999),
        priced("EUR", "0.00", "0.00"),
    ],
)
def test_a_valid_order_is_taken(document: dict[str, Any]) -> None:
    parsed = parse_order(text(document))
    assert parsed.id == document["order_id"]
    assert parsed.document == document


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "not_json"),
        ("1,", "not_json"),
        ("x&MessageGroupId=evil", "not_json"),
        ("[" * 100_000, "not_json"),
        ("1" * 5_000, "not_json"),
        ("\ufeff{}", "not_json"),
        ("1", "field"),
        ("[]", "field"),
        ("null", "field"),
        ('{"order_id": "a", "order_id": "a"}', "duplicate_key"),
        (text(order()).replace('"quantity": 2', '"quantity": 2, "quantity": 1'), "duplicate_key"),
        ('{"total": NaN}', "number"),
        ('{"total": -Infinity}', "number"),
        ('{"total": 1e3}', "number"),
        ('{"total": 99.80}', "number"),
        (text(order()).replace("Brems", "\\ud83d"), "text"),
        ('{"\\udc00": 1}', "text"),
    ],
)
def test_a_body_that_is_not_an_unambiguous_object_is_refused(body: str, expected: str) -> None:
    assert reason(body) == expected


@pytest.mark.parametrize("field", ["order_id", "customer_id", "currency", "lines", "total"])
def test_every_field_of_an_order_is_needed(field: str) -> None:
    document = order()
    del document[field]
    assert reason(document) == "field"


@pytest.mark.parametrize("field", ["sku", "name", "quantity", "unit_price"])
def test_every_field_of_a_line_is_needed(field: str) -> None:
    document = order()
    del document["lines"][0][field]
    assert reason(document) == "field"


LINES: tuple[Any, ...] = ([], {}, "x", None, [None], [[]], 3)


@pytest.mark.parametrize(
    "document",
    [
        order(coupon="x"),
        with_line(colour="red"),
        *(order(order_id=value) for value in ("", "a" * 65, "a b", "a\n", "é", "a#b", 7, None)),
        *(order(customer_id=value) for value in ("", "a" * 65, "Ann Lee", ["a"])),
        *(order(lines=value) for value in LINES),
        order(lines=order()["lines"] * 51),
        *(with_line(sku=value) for value in ("", "a" * 65, "ü", 1)),
        *(with_line(name=value) for value in ("", "a" * 129, "a\x00", "a\n", 1)),
        *(with_line(quantity=value) for value in (0, -1, 1000, True, "2", None)),
    ],
)
def test_a_field_outside_its_rule_is_refused(document: dict[str, Any]) -> None:
    assert reason(document) == "field"


@pytest.mark.parametrize("currency", ["", "eur", "XXX", "EURO", 1, None, ["EUR"]])
def test_a_currency_that_the_shop_does_not_take_is_refused(currency: Any) -> None:
    assert reason(order(currency=currency)) == "currency"


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        *(("EUR", a) for a in ("1", "1.0", "1.000", "-1.00", "+1.00", "01.00", "1,00", "1e2", "")),
        *(
            ("EUR", a)
            for a in ("NaN", "Infinity", " 1.00", "1.00\n", "\u0661.00", "1_0.00", 1, None)
        ),
        ("EUR", "1" * 13 + ".00"),
        *(("JPY", a) for a in ("1.0", "1.", "0.5", "00")),
        *(("KWD", a) for a in ("1", "1.00", "1.0000")),
    ],
)
def test_an_amount_has_exactly_its_currencys_decimal_places(currency: str, amount: Any) -> None:
    assert reason(priced(currency, amount, amount)) == "amount"


@pytest.mark.parametrize("total", ["99.99", "100.01", "0.00", "-100.00"])
def test_a_total_that_is_not_the_sum_of_the_lines_is_refused(total: str) -> None:
    assert reason(order(total=total)) == ("amount" if total[0] == "-" else "total")


@given(
    currency=st.sampled_from(sorted(logic.CURRENCIES)),
    lines=st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 999)), min_size=1, max_size=20),
)
def test_the_total_is_exact_in_every_currency(currency: str, lines: list[tuple[int, int]]) -> None:
    def amount(units: int) -> str:
        return f"{Decimal(units).scaleb(-logic.CURRENCIES[currency]):f}"

    line = order()["lines"][0]
    document = order(
        currency=currency,
        lines=[line | {"unit_price": amount(price), "quantity": n} for price, n in lines],
        total=amount(sum(price * n for price, n in lines)),
    )
    assert parse_order(text(document)).document == document
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
    for parse in (parse_order, lambda body: parse_change(body, "ord-1")):
        with pytest.raises(RefusedError):
            parse(body)


def test_the_same_order_has_the_same_fingerprint_however_it_is_written() -> None:
    document = order()
    one = parse_order(text(document))
    other = parse_order(json.dumps(dict(reversed(document.items())), indent=3))
    assert one.fingerprint == other.fingerprint
    different = order(lines=[*reversed(document["lines"])])
    assert parse_order(text(different)).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    "document",
    [
        change(),
        {"order_id": "ord-1", "change_id": "c", "kind": "cancel_line", "sku": "BRK-PAD-F"},
        {"order_id": "ord-1", "change_id": "c", "kind": "note", "text": "Bitte klingeln 🔔"},
    ],
)
def test_a_valid_change_is_taken(document: dict[str, Any]) -> None:
    parsed = parse_change(text(document), "ord-1")
    assert (parsed.order_id, parsed.id) == ("ord-1", document["change_id"])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "kind"),
        (change(kind="refund"), "kind"),
        (change(kind=["quantity"]), "kind"),
        (change(quantity=0), "field"),
        (change(text="x"), "field"),
        (change(sku="a b"), "field"),
        (change(order_id="a b"), "field"),
        (change(change_id="c" * 65), "field"),
        ({"order_id": "ord-1", "change_id": "c", "kind": "note", "text": "x" * 501}, "field"),
        ({"order_id": "ord-1", "change_id": "c", "kind": "cancel_line"}, "field"),
        (change(order_id="ord-2"), "group"),
    ],
)
def test_an_invalid_change_is_refused(document: Any, expected: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_change(text(document), "ord-1")
    assert refused.value.reason == expected
