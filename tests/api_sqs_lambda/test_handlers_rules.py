"""What is a valid order or change; the lines of an order are tested in ``tests/lambdas/``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.api_sqs_lambda import logic
from serverless_patterns.lambdas.foundation import orders
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.lambdas.orders import order
from tests.moto_cloud import record

from .handlers import change


def parse(body: Any) -> orders.Order:
    return orders.parse(Message.of(record(body)))


def parse_change(body: Any) -> logic.Change:
    return logic.parse_change(Message.of(record(body, "ord-1")))


def reason(document: Any, of: Any = parse) -> str:
    with pytest.raises(RefusedError) as refused:
        of(document)
    return refused.value.reason


NOTE = {"order_id": "ord-1", "change_id": "c", "kind": "note"}
CANCEL = {"order_id": "ord-1", "change_id": "c", "kind": "cancel_line"}


def test_a_valid_order_is_taken() -> None:
    parsed = parse(order(order_id="O" * 64, customer_id="C" * 64))
    assert (parsed.id, parsed.document["customer_id"]) == ("O" * 64, "C" * 64)


@pytest.mark.parametrize(
    "document", [change(), CANCEL | {"sku": "PAD"}, NOTE | {"text": "Bitte klingeln 🔔"}]
)
def test_a_valid_change_is_taken(document: dict[str, Any]) -> None:
    parsed = parse_change(document)
    assert (parsed.order_id, parsed.id) == ("ord-1", document["change_id"])


ORDER_IDS: tuple[Any, ...] = ("", "a" * 65, "a b", "a\n", "é", "a#b", 7, None)


@pytest.mark.parametrize(
    ("of", "expected", "document"),
    [
        *((parse, "field", document) for document in ("1", "[]", "null", order(coupon="x"))),
        *((parse, "field", {k: v for k, v in order().items() if k != name}) for name in order()),
        *((parse, "field", order(order_id=value)) for value in ORDER_IDS),
        *((parse, "field", order(customer_id=v)) for v in ("", "a" * 65, "Ann Lee", ["a"])),
        (parse, "field", order(lines=order()["lines"] * 51)),
        (parse, "currency", order(currency="XXX")),
        (parse, "amount", order(total="-100.00")),
        (parse, "total", order(total="100.01")),
        *((parse_change, "kind", d) for d in ("[]", change(kind="x"), change(kind=["quantity"]))),
        *((parse_change, "field", change(**d)) for d in ({"quantity": 0}, {"text": "x"})),
        *((parse_change, "field", change(change_id=value)) for value in ("c" * 65, None)),
        *((parse_change, "field", change() | {name: "a b"}) for name in ("sku", "order_id")),
        *((parse_change, "field", NOTE | {"text": value}) for value in ("x" * 501, "a\n")),
        (parse_change, "field", CANCEL),
        (parse_change, "group", change(order_id="ord-2")),
    ],
)
def test_a_field_outside_its_rule_is_refused(of: Any, expected: str, document: Any) -> None:
    assert reason(document, of) == expected


SECRET = "Geheimnis"


@pytest.mark.parametrize(
    "document",
    [
        *(SECRET, f'{{"{SECRET}": {SECRET}}}', f'{{"{SECRET}": 1, "{SECRET}": 2}}'),
        order(customer_id=f"{SECRET}!"),
        order(order_id=f"{SECRET} 8"),
        order() | {SECRET: 1},
        *(order() | {name: SECRET} for name in ("currency", "total", "lines")),
        *(order(lines=[order()["lines"][0] | {name: f"{SECRET}\n"}]) for name in ("sku", "name")),
        order(lines=[order()["lines"][0] | {"unit_price": SECRET}]),
        change(kind=SECRET),
        change(sku=f"{SECRET}!"),
        NOTE | {"text": f"{SECRET}\n"},
    ],
)
def test_no_reason_tells_what_was_sent(document: Any) -> None:
    for check in (parse, parse_change):
        with pytest.raises(RefusedError) as refused:
            check(document)
        assert SECRET not in str(refused.value)


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_whatever_is_sent_is_an_order_or_refused(body: str) -> None:
    assert reason(body)
    assert reason(body, parse_change)
