"""The shop makes the same valid events for the same seed, under ids of their own in each run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.shop import DIGITS, Shop, as_csv, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS: dict[str, tuple[str, Callable[[Shop], list[Any]]]] = {
    "orders": ("order_id", lambda shop: shop.orders(200)),
    "invoice requests": ("order_id", lambda shop: shop.invoice_requests(200)),
    "order changes": ("change_id", lambda shop: list(chain(*shop.order_changes(20, 5)))),
    "purchases": ("order_id", lambda shop: shop.purchases(200)),
    "price changes": ("event_id", lambda shop: shop.price_changes(["a", "b", "c"], 50)),
    "clicks": ("click_id", lambda shop: shop.clicks(200)),
    "bot clicks": ("click_id", lambda shop: shop.bot_clicks(200)),
}
EVENTS = pytest.mark.parametrize(("id_", "make"), MAKERS.values(), ids=MAKERS)


@EVENTS
def test_an_id_is_of_letters_digits_and_dashes_64_at_most_and_never_given_twice(
    id_: str, make: Callable[[Shop], list[Any]]
) -> None:
    ids = [event[id_] for event in make(Shop("run")) + make(Shop("run"))]
    assert len(set(ids)) == len(ids)
    assert all(len(one) <= 64 and one.replace("-", "").isalnum() for one in ids)


@EVENTS
def test_the_same_seed_makes_the_same_events_but_for_ids_and_time(
    id_: str, make: Callable[[Shop], list[Any]]
) -> None:
    def contents() -> str:
        shop = Shop("run")
        moments = dict.fromkeys(("clicked_at", "changed_at", "requested_at"))
        events = [event | moments for event in make(shop)]
        return json.dumps(events).replace(shop.run, "run")

    assert contents() == contents()


@pytest.mark.parametrize("kind", ["orders", "invoice requests"])
def test_a_total_is_the_sum_of_its_lines_in_the_digits_of_its_currency(kind: str) -> None:
    for order in MAKERS[kind][1](Shop("run")):
        digits = DIGITS[order["currency"]]
        amounts = [order["total"], *(line["unit_price"] for line in order["lines"])]
        for amount in amounts:
            assert len(amount.partition(".")[2]) == digits
        cents = [int(amount.replace(".", "")) for amount in amounts]
        quantities = [line["quantity"] for line in order["lines"]]
        assert cents[0] == sum(q * c for q, c in zip(quantities, cents[1:], strict=True))


def test_orders_are_in_several_currencies_scripts_and_smuggle_parameters() -> None:
    orders = Shop("run").orders(200)
    names = {line["name"] for order in orders for line in order["lines"]}
    assert {order["currency"] for order in orders} == {"EUR", "USD", "GBP", "JPY", "KWD"}
    assert any("Action=DeleteQueue" in name for name in names)
    assert any("🚗" in name for name in names)


def test_the_total_of_a_purchase_follows_its_lines_unless_it_is_given() -> None:
    shop = Shop("run")
    lines = [{"sku": "x", "quantity": 3, "unit_price": 7}]
    assert shop.purchases(1, lines=lines)[0]["total"] == 21
    assert shop.purchases(1, lines=[])[0]["total"] == 0
    assert shop.purchases(1, total=1)[0]["total"] == 1


def test_a_purchase_is_of_this_runs_parts_and_customers() -> None:
    shop = Shop("run")
    for order in shop.purchases(50):
        assert order["customer_id"] in shop.customers
        assert {line["sku"] for line in order["lines"]} <= set(shop.parts)


def test_price_changes_of_a_part_are_numbered_in_order_and_parts_are_interleaved() -> None:
    changes = Shop("run").price_changes(["a", "b"], 50)
    for part in {change["part_id"] for change in changes}:
        versions = [change["version"] for change in changes if change["part_id"] == part]
        assert versions == list(range(1, 51))
    assert len({change["part_id"] for change in changes[:20]}) == 2
    moments = [change["changed_at"] for change in changes]
    assert moments == sorted(moments)


def test_the_changes_of_an_order_are_in_order() -> None:
    for each in Shop("run").order_changes(5, 8):
        assert len({change["order_id"] for change in each}) == 1
        assert [c["change_id"] for c in each] == sorted(c["change_id"] for c in each)


def test_one_visitor_makes_half_of_the_clicks() -> None:
    clicks = Shop("run").clicks(1_000)
    hot = sum(click["user_id"] == "hot" for click in clicks)
    assert 400 < hot < 600


def test_a_click_is_of_the_last_day() -> None:
    for click in Shop("run").clicks(100):
        age = datetime.now(UTC) - datetime.fromisoformat(click["clicked_at"])
        assert 0 <= age.total_seconds() <= 86_500


def test_malformed_clicks_differ_from_each_other_and_have_ids_of_the_run() -> None:
    shop = Shop("run")
    malformed = shop.malformed_clicks()
    others = Shop("run").malformed_clicks()
    assert len({*malformed.values(), *others.values()}) == 2 * len(malformed) == 44
    assert malformed[f"{shop.run}-blank"].strip() == b""
    assert all(name.startswith(f"{shop.run}-") for name in malformed)


def test_json_is_utf_8_and_csv_is_a_line_that_keeps_every_field() -> None:
    assert as_json({"name": "点火"}) == '{"name": "点火"}'.encode()
    assert as_csv({"name": 'a "b", c', "n": 1}) == b'"a ""b"", c",1\r\n'
