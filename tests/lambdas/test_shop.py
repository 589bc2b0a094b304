"""The lines of an order, which several examples share: each adds up to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import shop
from serverless_patterns.lambdas.foundation.outcomes import RefusedError

LINE = {"sku": "PAD", "name": "Bremsbelag 🚗", "quantity": 1, "unit_price": "1.00"}


def order(*lines: Any, currency: Any = "EUR", total: Any = "1.00") -> dict[str, Any]:
    return {"currency": currency, "lines": list(lines), "total": total}


def priced(currency: str, price: Any, total: Any, quantity: int = 1) -> dict[str, Any]:
    line = LINE | {"unit_price": price, "quantity": quantity}
    return order(line, currency=currency, total=total)


def reason(document: dict[str, Any]) -> str:
    with pytest.raises(RefusedError) as refused:
        shop.total(document, most_lines=2)
    assert refused.value.detail.endswith(".")
    return refused.value.reason


@pytest.mark.parametrize(
    ("document", "total"),
    [
        (order(LINE, LINE, total="2.00"), "2.00"),
        (order(LINE | {"sku": "S" * 64, "name": "🚗" * 128}), "1.00"),
        (priced("JPY", "1200", "2400", 2), "2400"),
        (priced("KWD", "0.005", "4.995", 999), "4.995"),
        (priced("EUR", "0.00", "0.00"), "0"),
        (priced("EUR", "10000000.00", "9990000000.00", 999), "9990000000"),
    ],
)
def test_lines_that_add_up_are_taken(document: dict[str, Any], total: str) -> None:
    assert shop.total(document, most_lines=2) == Decimal(total)


NOT_LINES: tuple[Any, ...] = ([], {}, "x", None, [None], [[]], 3, [LINE] * 3)


@pytest.mark.parametrize(
    "lines",
    [
        *NOT_LINES,
        [LINE | {"colour": "red"}],
        *([{name: LINE[name] for name in LINE if name != missing}] for missing in LINE),
        *([LINE | {"sku": value}] for value in ("", "a" * 65, "ü", 1)),
        *([LINE | {"name": value}] for value in ("", "a" * 129, "a\x00", "a\n", 1)),
        *([LINE | {"quantity": value}] for value in (0, -1, 1000, True, "2", None)),
    ],
)
def test_a_line_that_is_incomplete_or_breaks_a_rule_is_refused(lines: Any) -> None:
    assert reason(order() | {"lines": lines}) == "field"


@pytest.mark.parametrize("currency", ["", "eur", "XXX", "EURO", 1, None, ["EUR"]])
def test_a_currency_that_the_shop_does_not_take_is_refused(currency: Any) -> None:
    assert reason(order(LINE, currency=currency)) == "currency"


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
    right = {"EUR": "1.00", "JPY": "1", "KWD": "1.000"}[currency]
    assert reason(priced(currency, amount, right)) == "amount"
    assert reason(priced(currency, right, amount)) == "amount"


@given(
    currency=st.sampled_from(sorted(shop.CURRENCIES)),
    lines=st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 999)), min_size=1, max_size=20),
)
def test_the_total_is_exact_in_every_currency(currency: str, lines: list[tuple[int, int]]) -> None:
    def amount(units: int) -> str:
        return f"{Decimal(units).scaleb(-shop.CURRENCIES[currency]):f}"

    total = sum(price * quantity for price, quantity in lines)
    document = order(
        *(LINE | {"unit_price": amount(price), "quantity": n} for price, n in lines),
        currency=currency,
        total=amount(total),
    )
    assert shop.total(document, most_lines=20) == Decimal(amount(total))
    for wrong in {total + 1, abs(total - 1)}:
        with pytest.raises(RefusedError, match="total"):
            shop.total(document | {"total": amount(wrong)}, most_lines=20)
